"""A supernet of your own: two layers with three choices each, none of bnao's cells, ranked by shared weights.

    python examples/keras_custom_supernet.py

Trains it with architectures drawn in proportion to their size, scores all nine on held-out images, trains each
alone, and says how far the two rankings agree.
"""

import argparse
import itertools

import keras
import numpy as np
from keras import layers, ops

from bnao import ProportionalSampler, load_dataset, rank_agreement
from bnao.backends.keras import BalancedBatches
from bnao.config.settings import DataConfig

CHOICES = (1, 3, 5)  # kernel sizes
CHANNELS = 12


class Choice(layers.Layer):
    """One of several convolutions; which one is data, so one graph serves all."""

    def __init__(self):
        super().__init__()
        self.convolutions = [layers.Conv2D(CHANNELS, size, padding="same", activation="relu") for size in CHOICES]

    def build(self, shape):
        for convolution in self.convolutions:
            convolution.build(shape)

    def call(self, x, which):
        # functions made anew each time: JAX would take the weights in a function it knows for constants.
        # ops.switch takes the nearest branch for a number out of range: check what you feed
        branches = [lambda x, convolution=convolution: convolution(x) for convolution in self.convolutions]
        return ops.switch(which, branches, x)


class Supernet(keras.Model):
    """Two layers with three choices each: arch is (b, 2), in equal rows."""

    def __init__(self):
        super().__init__()
        self.first, self.second = Choice(), Choice()
        self.head = keras.Sequential([layers.GlobalAveragePooling2D(), layers.Dense(10)])
        self.pool = layers.MaxPooling2D()

    def call(self, inputs):
        arch = ops.cast(inputs["arch"][0], "int32")
        return self.head(self.second(self.pool(self.first(inputs["image"], arch[0])), arch[1]))


def trained(model, batches, epochs):
    """The model, trained on batches."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss)
    model.fit(batches, epochs=epochs, verbose=2)
    return model


def accuracy(model, arch, images, labels):
    """The share of images an architecture gets right."""
    logits = model.predict({"image": images, "arch": np.repeat(arch[None], len(labels), 0)}, batch_size=256, verbose=0)
    return float((logits.argmax(1) == labels).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=8, help="of the supernet; each one alone gets a third")
    parser.add_argument("--alone", type=int, default=9, help="how many architectures are trained alone")
    chosen = parser.parse_args()

    data = load_dataset(DataConfig(dataset="fashion-mnist", image_size=14))
    x, y, x_dev = data.normalised(data.x_train), data.y_train, data.normalised(data.x_dev)
    archs = np.array(list(itertools.product(range(3), repeat=2)), np.int32)
    kernels = np.array(CHOICES)[archs] ** 2
    sizes = (kernels[:, 0] * CHANNELS + kernels[:, 1] * CHANNELS**2).tolist()

    sampler = ProportionalSampler(archs, sizes, seed=0)
    supernet = trained(Supernet(), BalancedBatches(x, y, sampler=sampler), chosen.epochs)
    shared = [accuracy(supernet, arch, x_dev, data.y_dev) for arch in archs]

    alone = []
    for index in range(chosen.alone):
        only = ProportionalSampler([archs[index]], [1])
        epochs = max(1, chosen.epochs // 3)
        model = trained(Supernet(), BalancedBatches(x, y, sampler=only), epochs)
        alone.append(accuracy(model, archs[index], x_dev, data.y_dev))
        print(f"{archs[index]}: {shared[index]:.1%} with shared weights, {alone[index]:.1%} alone")
    for name, estimate in rank_agreement(shared[: chosen.alone], alone).items():
        print(f"{name:<18} {estimate}")


if __name__ == "__main__":
    main()
