"""The HTTP API, one resource a module; `serving.web.app` puts them together."""
