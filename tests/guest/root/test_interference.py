"""What is done to a container behind its back, on pure cgroup v2 and the guest's older kernel.

Those of tests/integration again, the ones that differ by kernel or capability.
"""

from __future__ import annotations

import pytest

from tests.integration import test_interference_isolation as isolation
from tests.integration import test_interference_mounts as mounts
from tests.integration.conftest import engine  # noqa: F401  (a fixture)
from tests.integration.test_interference_isolation import (  # noqa: F401  (fixtures)
    case,
    make,
)

pytestmark = pytest.mark.requires_root

test_a_changed_kernel_parameter = (
    isolation.test_a_changed_kernel_parameter_is_put_right_and_ours_stays
)
test_more_cpu_time = isolation.test_more_cpu_time_than_given_is_taken_back
test_a_hidden_path = mounts.test_a_hidden_path_that_was_uncovered_is_hidden_again
test_a_user_namespace = mounts.test_the_same_in_a_user_namespace
