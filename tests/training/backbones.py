"""Backbones of one's own, as people save them: tiny, and quick to train."""

import keras
from keras import layers


def small(side=32, *, dtype="float32", dropout=0.0, seed=1, filters=8):
    """Stripes and brightness to 8 features; with a network, batch norm and dropout inside."""
    keras.utils.set_random_seed(seed)
    inside = keras.Sequential(
        [
            keras.Input((None, None, filters)),
            layers.Conv2D(8, 3, strides=2),
            layers.BatchNormalization(),
            layers.ReLU(),
        ],
        name="block",
    )
    inputs = keras.Input((side, side, 3), dtype=dtype, name="image")
    pictures = keras.ops.cast(inputs, "float32") if dtype == "uint8" else inputs
    scaled = layers.Rescaling(1 / 127.5, offset=-1)(pictures)
    maps = layers.BatchNormalization()(layers.Conv2D(filters, 5, strides=3)(scaled))
    features = layers.GlobalAveragePooling2D()(layers.Dropout(dropout)(inside(maps)))
    return keras.Model(inputs, features, name="mine")


def saved(network, folder, name="mine.keras"):
    """Its file."""
    network.save(folder / name)
    return folder / name
