"""The transformer of CLIP's two towers: attention among tokens, then a perceptron for each."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu

from edudiff import checks

Activation = Callable[[Tensor], Tensor]


def quick_gelu(x: Float[Tensor, " *shape"]) -> Float[Tensor, " *shape"]:
    """x σ(1.702 x): an approximation of GELU with one exponential.

    It is written as silu(1.702 x) / 1.702, because silu's gradient is one operation.

    Source:
        Hendrycks & Gimpel 2016 (arXiv:1606.08415), section 2. CLIP's own weights were trained
        with it; in transformers: `hidden_act="quick_gelu"`.
    """
    return silu(1.702 * x) / 1.702


class SelfAttention(nn.Module):
    """Every token asks all tokens (the earlier ones, if causal) and adds up what they answer.

    Args:
        width: channels of a token.
        num_heads: attention heads; their channels, width / num_heads, must be whole.
        causal: let a token see only itself and what stands before it.

    Raises:
        ValueError: if a size is below 1 or the heads do not divide the width.

    Source:
        Vaswani et al. 2017 (arXiv:1706.03762), eq. 1. In transformers: `CLIPAttention`, with the
        same parameter names.
    """

    def __init__(self, width: int, num_heads: int, *, causal: bool) -> None:
        super().__init__()
        checks.whole_at_least(1, width=width, num_heads=num_heads)
        if width % num_heads:
            raise ValueError(f"width: expected a multiple of num_heads={num_heads}, got {width}")
        self.num_heads, self.causal = num_heads, causal
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, h: Float[Tensor, " b n d"]) -> Float[Tensor, " b n d"]:
        """Softmax(q kᵀ / √head_dim) v in each head, then one linear layer over all heads."""
        q, k, v = (
            proj(h).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
            for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        answers = scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.out_proj(answers.transpose(1, 2).flatten(2))


class MLP(nn.Module):
    """Two linear layers with a bend between them, applied to each token alone."""

    def __init__(self, width: int, hidden: int, activation: Activation) -> None:
        super().__init__()
        self.activation = activation
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, h: Float[Tensor, " b n d"]) -> Float[Tensor, " b n d"]:
        """Widen, bend, narrow."""
        return self.fc2(self.activation(self.fc1(h)))


class EncoderLayer(nn.Module):
    """Add to the tokens what attention finds, then what the perceptron makes of it."""

    def __init__(
        self, width: int, num_heads: int, hidden: int, activation: Activation, *, causal: bool
    ) -> None:
        super().__init__()
        self.self_attn = SelfAttention(width, num_heads, causal=causal)
        self.layer_norm1 = nn.LayerNorm(width)
        self.mlp = MLP(width, hidden, activation)
        self.layer_norm2 = nn.LayerNorm(width)

    def forward(self, h: Float[Tensor, " b n d"]) -> Float[Tensor, " b n d"]:
        """Two residual updates, each of normalised tokens."""
        h = h + self.self_attn(self.layer_norm1(h))
        return h + self.mlp(self.layer_norm2(h))


class Encoder(nn.Module):
    """A stack of `EncoderLayer`s.

    Args:
        width: channels of a token.
        num_layers: how many layers.
        num_heads: attention heads of each layer.
        mlp_width: channels inside each perceptron; 4 · width if not given.
        activation: the perceptrons' bend, `quick_gelu` or `torch.nn.functional.gelu`.
        causal: let a token see only itself and what stands before it.

    Raises:
        ValueError: if a size is below 1 or the heads do not divide the width.

    Source:
        Radford et al. 2019 (GPT-2): the norms stand before each update, and the last layer of an
        update starts smaller by 1/√(number of updates), so that the sum does not grow with depth.
        In transformers: `CLIPEncoder`, with the same parameter names.
    """

    def __init__(
        self,
        width: int,
        num_layers: int,
        num_heads: int,
        mlp_width: int | None = None,
        activation: Activation = quick_gelu,
        *,
        causal: bool,
    ) -> None:
        super().__init__()
        self.mlp_width = 4 * width if mlp_width is None else mlp_width
        checks.whole_at_least(1, num_layers=num_layers, mlp_width=self.mlp_width)
        self.num_heads, self.activation = num_heads, activation
        self.layers = nn.ModuleList(
            EncoderLayer(width, num_heads, self.mlp_width, activation, causal=causal)
            for _ in range(num_layers)
        )
        last = ("out_proj", "fc2")
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                updates = 2 * num_layers if name.endswith(last) else 1
                nn.init.normal_(module.weight, std=(module.in_features * updates) ** -0.5)
                nn.init.zeros_(module.bias)

    def forward(self, h: Float[Tensor, " b n d"]) -> list[Float[Tensor, " b n d"]]:
        """The tokens before the first layer and after each one: num_layers + 1 tensors."""
        states = [h]
        for layer in self.layers:
            states.append(layer(states[-1]))
        return states
