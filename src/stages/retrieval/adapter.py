"""adapter: train the offline embedder on the crops on record; the crops of query photos are not seen."""

import torch

from zerostart.errors import InputError, run_stage
from zerostart.language.text_encoders import load_minilm
from zerostart.outputs import stage_folder, write_records
from zerostart.retrieval.contexts import load_words
from zerostart.retrieval.crops.files import open_crops
from zerostart.retrieval.crops.photos import RECORD
from zerostart.retrieval.embedding.adapter import save_adapter
from zerostart.retrieval.embedding.adapter_training import train_adapter, training_crops, true_sentences
from zerostart.retrieval.embedding.backbone import load_backbone
from zerostart.retrieval.embedding.embedders import ADAPTER_FOLDER, embed_all_patches
from zerostart.retrieval.params import load_retrieval_params
from zerostart.retrieval.tables import read_table

CURVE = "plots/retrieval/adapter.csv"


def main() -> str:
    torch.set_num_threads(1)  # the same sums on any number of cores; pictures are embedded side by side
    params = load_retrieval_params()
    settings, words = params.adapter, load_words(params.language)
    crops = read_table("data/retrieval/crops/crops.parquet", "crops").to_pylist()
    rows = [row for row in crops if row["split"] == RECORD]
    if len(rows) < 2:
        raise InputError(f"data/retrieval/crops: {len(rows)} crop(s) on record; at least 2 are expected to train the adapter")
    backbone = load_backbone(settings.backbone)
    features = [found.numpy() for _, found in embed_all_patches(backbone, settings.input_size, open_crops(rows))]
    said = [true_sentences(row, words) for row in rows]
    sentences = sorted({sentence for told in said for sentence in told})
    embedded = dict(zip(sentences, load_minilm().encode(sentences), strict=True))
    adapter, history = train_adapter(training_crops(features, said, embedded), settings, params.seed)
    with stage_folder(ADAPTER_FOLDER) as folder:
        save_adapter(adapter, settings.backbone, settings.input_size, folder)
    write_records(CURVE, history)
    return (
        f"{ADAPTER_FOLDER}: {len(rows)} crops, {len(sentences)} sentences, {settings.loss} loss "
        f"{history[0]['loss']:.2f} → {history[-1]['loss']:.2f}"
    )


if __name__ == "__main__":
    run_stage(main)
