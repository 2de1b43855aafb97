"""What every name of `locate` stands for: our tiny weights, and the full-size ones on the hub.

A revision is a commit of the repository: a branch such as "main" can be moved, a commit cannot.
Sizes are those of the files there, in bytes. GPU memory is an estimate, on the safe side: for one
picture at the model's own size, with weights in half precision where there are any. For several
pictures at once, or in single precision, it is more.

The SHA-256 of the tiny weights stands in registry.json; on the hub it is part of the revision.
"""

from dataclasses import dataclass

CONFIGURATION = (".json", ".txt")
"""What is fetched beside the weights: data only, never code."""


@dataclass(frozen=True)
class FullSize:
    """Weights in a repository of the hub, in the format of diffusers or transformers.

    Attributes:
        repository: owner and name.
        revision: the commit, 40 hexadecimal digits.
        weights: the safetensors files that are needed, without their ending.
        folders: where configuration is; "" for the repository's root.
        download: bytes to download, for weights in single precision.
        half_download: bytes to download, for weights in half precision; None if the repository
            has none.
        gpu_memory: bytes of GPU memory needed.
        licence: its name.

    Whether a repository is gated, the hub says when it is asked; see `probe.hub`.
    """

    repository: str
    revision: str
    weights: tuple[str, ...]
    folders: tuple[str, ...]
    download: int
    half_download: int | None
    gpu_memory: int
    licence: str

    @property
    def page(self) -> str:
        """Where the model is described, and where a gated one's licence is accepted."""
        return f"https://huggingface.co/{self.repository}"


@dataclass(frozen=True)
class Model:
    """One name of `locate`.

    Attributes:
        tiny: the name of our weights in registry.json; None while there are none.
        full: the full-size weights; None if they are not to be had as safetensors.
        why_not_full: if so, why.
    """

    tiny: str | None
    full: FullSize | None
    why_not_full: str = ""


_VAE, _UNET = "vae/diffusion_pytorch_model", "unet/diffusion_pytorch_model"

MODELS = {
    "vae": Model(
        "tiny-vae",
        FullSize(
            "stabilityai/sd-vae-ft-mse",
            "31f26fdeee1355a5c34592e401dd41e45d25a493",
            weights=("diffusion_pytorch_model",),
            folders=("",),
            download=334_643_276,
            half_download=None,
            gpu_memory=3_000_000_000,
            licence="MIT",
        ),
    ),
    "clip": Model(
        "tiny-clip",
        FullSize(
            "openai/clip-vit-large-patch14",
            "32bd64288804d66eefd0ccbe215aa642df71cc41",
            weights=("model",),
            folders=("",),
            download=1_710_540_580,
            half_download=None,
            gpu_memory=3_000_000_000,
            licence="MIT (of OpenAI's CLIP; the model card names none)",
        ),
    ),
    "stable-diffusion": Model(
        "tiny-sd",
        FullSize(  # where runwayml/stable-diffusion-v1-5, now gone, was taken up
            "stable-diffusion-v1-5/stable-diffusion-v1-5",
            "451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
            weights=(_UNET, _VAE, "text_encoder/model", "safety_checker/model"),
            folders=(
                *("unet", "vae", "text_encoder", "safety_checker"),
                *("tokenizer", "scheduler", "feature_extractor"),
            ),
            download=5_481_058_520,
            half_download=2_740_623_950,
            gpu_memory=6_000_000_000,
            licence="CreativeML Open RAIL-M",
        ),
    ),
    "sdxl": Model(
        "tiny-sdxl",
        FullSize(
            "stabilityai/stable-diffusion-xl-base-1.0",
            "462165984030d82259a11f4367a4eed129e94a7b",
            weights=(_UNET, _VAE, "text_encoder/model", "text_encoder_2/model"),
            folders=(
                *("unet", "vae", "text_encoder", "text_encoder_2"),
                *("tokenizer", "tokenizer_2", "scheduler"),
            ),
            download=13_875_688_436,
            half_download=6_938_011_430,
            gpu_memory=12_000_000_000,
            licence="CreativeML Open RAIL++-M",
        ),
    ),
    "sdxl-refiner": Model(
        "tiny-sdxl-refiner",
        FullSize(
            "stabilityai/stable-diffusion-xl-refiner-1.0",
            "5d4cfe854c9a9a87939ff3653551c2b3c99a4356",
            weights=(_UNET, _VAE, "text_encoder_2/model"),
            folders=("unet", "vae", "text_encoder_2", "tokenizer_2", "scheduler"),
            download=12_151_609_924,
            half_download=6_075_928_278,
            gpu_memory=12_000_000_000,
            licence="CreativeML Open RAIL++-M",
        ),
    ),
    "stable-diffusion-3": Model(
        "tiny-dit",
        FullSize(  # without its third text encoder, a T5 of 4.8 billion parameters
            "stabilityai/stable-diffusion-3-medium-diffusers",
            "ea42f8cef0f178587cf766dc8129abd379c90671",
            weights=(
                "transformer/diffusion_pytorch_model",
                *(_VAE, "text_encoder/model", "text_encoder_2/model"),
            ),
            folders=(
                *("transformer", "vae", "text_encoder", "text_encoder_2"),
                *("tokenizer", "tokenizer_2", "scheduler"),
            ),
            download=5_974_400_000,  # stored in half precision; reckoned from the parameters
            half_download=None,
            gpu_memory=10_000_000_000,
            licence="Stability AI Community License",
        ),
    ),
    "matryoshka": Model(
        "tiny-mdm",
        None,
        why_not_full=(
            "Apple publishes them as pickled PyTorch files only, at docs-assets.developer.apple.com"
            "/ml-research/models/mdm/flickr{64,256,1024}/vis_model.pth: no safetensors in a "
            "repository of the hub, and loading a pickle runs whatever code is in it"
        ),
    ),
}
