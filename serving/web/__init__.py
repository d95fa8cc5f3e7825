"""The web page and its HTTP API: a gateway between browsers and a model server, asynchronous, without TensorFlow."""
