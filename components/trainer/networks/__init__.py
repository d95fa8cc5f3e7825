"""The networks of the conditional GAN: `build` makes them, one file shows each of them, `blocks` what they are made of.

Keras alone, so that they can be trained on another backend, but for two fast paths of TensorFlow.
"""
