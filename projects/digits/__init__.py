"""Handwritten digits: bundled data, a small CNN and three configs that train it."""

import torch

# Threads gain nothing on 8x8 images, and on busy cores they spend most of their time waiting for each other.
torch.set_num_threads(1)
