"""Multi-label image tags: a ConvNeXt trained on small academic pictures and adapted to real photos."""
