"""A place that is named by URLs, as object stores are, over local files."""

import os

from apache_beam.io.filesystem import FileMetadata
from apache_beam.io.localfilesystem import LocalFileSystem

DRAWER = "drawer:/"


class DrawerFileSystem(LocalFileSystem):
    """A Beam filesystem with a scheme of its own: `drawer://tmp/a.jpg` is /tmp/a.jpg.

    Beam knows it as soon as this module is imported: it looks among the subclasses of FileSystem.
    """

    @classmethod
    def scheme(cls):
        return "drawer"

    def join(self, basepath, *paths):
        return "/".join([basepath.rstrip("/"), *paths])

    def split(self, path):
        return tuple(path.rsplit("/", 1))

    def mkdirs(self, path):
        super().mkdirs(_local(path))

    def create(self, path, *arguments, **options):
        os.makedirs(os.path.dirname(_local(path)), exist_ok=True)
        return self._path_open(path, "wb", *arguments, **options)

    def open(self, path, *arguments, **options):
        return self._path_open(path, "rb", *arguments, **options)

    def rename(self, source_file_names, destination_file_names):
        super().rename([*map(_local, source_file_names)], [*map(_local, destination_file_names)])

    def delete(self, paths):
        super().delete([*map(_local, paths)])

    def exists(self, path):
        return super().exists(_local(path))

    def size(self, path):
        return super().size(_local(path))

    def last_updated(self, path):
        return super().last_updated(_local(path))

    def metadata(self, path):
        found = super().metadata(_local(path))
        return FileMetadata(path, found.size_in_bytes, found.last_updated_in_seconds)

    def _path_open(self, path, *arguments, **options):
        return super()._path_open(_local(path), *arguments, **options)

    def _url_dirname(self, url_or_path):
        return url_or_path.rsplit("/", 1)[0]

    def _list(self, dir_or_prefix):
        for file in super()._list(_local(dir_or_prefix)):
            yield FileMetadata(DRAWER + file.path, file.size_in_bytes, file.last_updated_in_seconds)


def _local(url: str) -> str:
    return url.removeprefix(DRAWER)
