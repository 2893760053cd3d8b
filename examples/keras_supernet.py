"""bnao's supernet as an ordinary Keras model: compile, fit, callbacks, predict for any architecture, save and load.

python examples/keras_supernet.py --epochs 2
"""

import argparse
import tempfile

import keras
import numpy as np

from bnao import NetworkConfig, ProportionalSampler, count_parameters, load_dataset
from bnao.backends.keras import BalancedBatches, PathSGD, Supernet
from bnao.config.settings import DataConfig
from bnao.streams import stream


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--pool", type=int, default=20)
    parser.add_argument("--nodes", type=int, default=3)
    chosen = parser.parse_args()

    data = load_dataset(DataConfig(dataset="fashion-mnist", image_size=14))
    network = data.network(NetworkConfig(channels=8, cells=1, nodes=chosen.nodes))
    supernet = Supernet(network)
    pool = supernet.space.random_genotypes(chosen.pool, stream(0, "pool"))
    sampler = ProportionalSampler(pool, count_parameters(pool, network), seed=0)
    images = data.normalised(data.x_train)
    batches = BalancedBatches(images, data.y_train, sampler=sampler, encoding=supernet.space, batch_size=64)

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    schedule = keras.optimizers.schedules.CosineDecay(0.15, chosen.epochs * len(batches))
    supernet.compile(PathSGD(supernet, schedule), loss, metrics=["accuracy"])
    supernet.fit(batches, epochs=chosen.epochs, verbose=2)

    images = data.normalised(data.x_dev)
    for genotype in pool[:3]:
        inputs = {"image": images, "arch": supernet.arch_of(genotype, len(images))}
        logits = supernet.predict(inputs, batch_size=len(images), verbose=0)
        print(f"{(logits.argmax(1) == data.y_dev).mean():.1%}  {genotype}")
    with tempfile.TemporaryDirectory() as folder:
        supernet.save_weights(f"{folder}/supernet.weights.h5")
        again = Supernet(network, seed=1)
        again.load_weights(f"{folder}/supernet.weights.h5")
        same = np.array_equal(again.predict(inputs, batch_size=len(images), verbose=0), logits)
        print("loaded again it predicts the same:", same)


if __name__ == "__main__":
    main()
