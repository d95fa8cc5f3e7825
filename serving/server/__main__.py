"""A model server as a process of its own, started by `process` and `kept_process`; people run `tintype serve`.

python -m serving.server ARGUMENTS, these being the arguments of `run_server` as a JSON object; in place of `door` the
`descriptor` and the `greeting` of one, and `folder`, which a server that has ended as it should removes.
"""

import json
import shutil
import sys

from photo.errors import TintypeError
from serving.server.door import Door
from serving.server.options import ServerOptions
from serving.server.run import run_server

if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    folder = arguments.pop("folder", None)
    if (door := arguments.pop("door", None)) is not None:
        arguments["door"] = Door(**door)
    try:
        run_server(ServerOptions(**arguments.pop("options")), **arguments)
    except TintypeError as error:
        sys.exit(f"error: {error}")
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
