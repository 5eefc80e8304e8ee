"""Predict with a trained model, and judge it on the test split."""

import io
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, classification_report, f1_score, top_k_accuracy_score

from carpipe.errors import InputError
from carpipe.model_input import to_batch

# Photos per forward pass.
BATCH = 32

Predict = Callable[[list[bytes]], "np.ndarray[Any, np.dtype[np.float32]]"]


def load_predictor(file: Path) -> Predict:
    """JPEGs in, probabilities (n, classes) out, of a `.keras` file. Code hidden in it is refused.

    Raises:
        InputError: the file is no Keras model.
    """
    try:
        network = keras.models.load_model(file, compile=False, safe_mode=True)
    except (ValueError, OSError, TypeError, KeyError) as error:
        raise InputError(f"{file.name} is no Keras model: {error}.") from error
    side = network.input_shape[1]

    def predict(jpegs: list[bytes]) -> "np.ndarray[Any, np.dtype[np.float32]]":
        pictures = to_batch(jpegs, side)
        chunks = [pictures[start : start + BATCH] for start in range(0, len(pictures), BATCH)]
        return np.concatenate([_predict_chunk(network, chunk) for chunk in chunks])

    return predict


def _predict_chunk(network: Any, chunk: Any) -> Any:
    """Always the same shape: a new one would trace the network again, which takes seconds."""
    missing = BATCH - len(chunk)
    full = np.concatenate([chunk, np.zeros((missing, *chunk.shape[1:]), chunk.dtype)]) if missing else chunk
    return np.asarray(network.predict_on_batch(full), dtype=np.float32)[: len(chunk)]


def predict_records(
    records: Iterable[tuple[str, str, bytes]], *, predict: Predict, classes: Sequence[str]
) -> pd.DataFrame:
    """One row per record: `key`, `class_name`, and `p`, the probabilities in the order of `classes`."""
    rows: list[tuple[str, str, Any]] = []
    iterator = iter(records)
    while chunk := list(islice(iterator, BATCH)):
        probabilities = predict([jpeg for _, _, jpeg in chunk])
        if probabilities.shape[1] != len(classes):
            raise InputError(f"The model answers {probabilities.shape[1]} classes, the dataset has {len(classes)}.")
        rows += [(key, name, p) for (key, name, _), p in zip(chunk, probabilities, strict=True)]
    return pd.DataFrame(rows, columns=["key", "class_name", "p"])


def judge(predictions: pd.DataFrame, *, classes: Sequence[str]) -> dict[str, float]:
    """Top-1, top-5 accuracy, macro-F1 and the number of photos of a test split.

    Raises:
        InputError: there is nothing to judge on.
    """
    if predictions.empty:
        raise InputError("The test split is empty; the dataset needs more vehicles.")
    truth, best, scores = _arrays(predictions, classes)
    figures = {"test_photos": float(len(truth)), "test_accuracy": float(accuracy_score(truth, best))}
    if len(classes) > 5:
        top5 = top_k_accuracy_score(truth, scores, k=5, labels=range(len(classes)))
        figures["test_top5_accuracy"] = float(top5)
    return {**figures, "test_macro_f1": float(f1_score(truth, best, average="macro", zero_division=0))}


def report(predictions: pd.DataFrame, *, classes: Sequence[str]) -> str:
    """The per-class report as CSV, in the published columns: precision, recall, f1-score, support."""
    truth, best, _ = _arrays(predictions, classes)
    rows = classification_report(
        truth, best, labels=range(len(classes)), target_names=list(classes), output_dict=True, zero_division=0
    )
    return str(pd.DataFrame(rows).T.to_csv())


def golden(jpegs: list[bytes], *, predict: Predict, side: int) -> bytes:
    """A few pictures as the model gets them and its answers, as .npz: `pictures`, `probabilities`."""
    sink = io.BytesIO()
    np.savez_compressed(sink, pictures=to_batch(jpegs, side), probabilities=predict(jpegs))
    return sink.getvalue()


def _arrays(predictions: pd.DataFrame, classes: Sequence[str]) -> tuple[Any, Any, Any]:
    number = {name: index for index, name in enumerate(classes)}
    scores = np.stack(predictions["p"].to_list())
    return predictions["class_name"].map(number).to_numpy(), scores.argmax(axis=1), scores
