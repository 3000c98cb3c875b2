import sys

from fake_machine import MODULES

MODULES[__name__].__spec__ = __spec__
sys.modules[__name__] = MODULES[__name__]
