"""What happens around every request, one concern a module; `serving.web.app` puts them in order."""
