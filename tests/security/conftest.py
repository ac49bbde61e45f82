"""Both ways into a container: the engine with its monitor, and the OCI command line."""

from tests.integration.conftest import engine, rootfs  # noqa: F401 - fixtures
from tests.integration.oci.conftest import oci, write_spec  # noqa: F401 - fixtures
