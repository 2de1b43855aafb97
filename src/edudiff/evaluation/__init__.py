"""How good are the samples? Numbers with their uncertainty."""
