"""The checkpoints that ship with edgeseg, each described by a card in ``docs/model-cards/``."""
