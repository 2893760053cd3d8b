"""Every setting, once: its default, bounds, help and the paper's letter."""
