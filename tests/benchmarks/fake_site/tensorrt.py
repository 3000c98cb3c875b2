import sys

from fake_machine import tensorrt

module = tensorrt()
module.__spec__ = __spec__  # who looks for the module asks for it
sys.modules[__name__] = module
