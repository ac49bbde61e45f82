"""What is done to a container behind its back, on pure cgroup v2 and the guest's older kernel.

Those of tests/integration again: in the short form the ones that differ by kernel or capability.
"""

from __future__ import annotations

import pytest

from tests.integration import test_interference_isolation as isolation
from tests.integration import test_interference_mounts as mounts
from tests.integration.conftest import engine  # noqa: F401  (a fixture)
from tests.integration.test_interference_isolation import (  # noqa: F401  (fixtures)
    case,
    make,
    network,
)

pytestmark = pytest.mark.requires_root

test_a_changed_kernel_parameter = (
    isolation.test_a_changed_kernel_parameter_is_put_right_and_ours_stays
)
test_more_cpu_time = isolation.test_more_cpu_time_than_given_is_taken_back
test_a_hidden_path = mounts.test_a_hidden_path_that_was_uncovered_is_hidden_again
test_a_user_namespace = mounts.test_the_same_in_a_user_namespace

test_a_joined_network = pytest.mark.slow(
    isolation.test_a_joined_network_that_was_made_anew_is_joined_by_a_restart
)
test_a_volume = pytest.mark.slow(mounts.test_a_volume_with_other_options_gets_its_own_again)
test_a_writable_path = pytest.mark.slow(
    mounts.test_a_path_of_the_kernels_that_was_made_writable_is_read_only_again
)
