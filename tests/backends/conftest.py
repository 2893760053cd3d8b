"""Settings of the frameworks under test."""

import os

collect_ignore = ["known_paths.py"]  # it imports Keras, and holds no test

if os.environ.get("BNAO_FRAMEWORK") == "keras":  # set by tox; TensorFlow and PyTorch never share a process
    import tensorflow as tf

    # rewriting graphs takes longer than running them a few times; the tests in processes of their own, searches and
    # examples among them, leave it as users have it
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
