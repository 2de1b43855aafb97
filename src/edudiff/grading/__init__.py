"""Grade a class: strangers' notebooks run in processes of their own, and are judged in ours."""
