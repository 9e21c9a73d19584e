"""The package as a whole: what importing it costs, and what it gives users."""

import pkgutil
import subprocess
import sys

import fujimi_core
import pytest

MODULES = sorted(f"fujimi_core.{module.name}" for module in pkgutil.iter_modules(fujimi_core.__path__))


def test_no_module_of_core_imports_anything_heavy() -> None:
    program = f"import sys, {', '.join(MODULES)}; print([m for m in ('torch', 'simpy', 'numba') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_name_that_users_are_promised_is_there() -> None:
    assert all(hasattr(fujimi_core, name) for name in fujimi_core.__all__)
    assert list(fujimi_core.__all__) == sorted(fujimi_core.__all__)
    assert set(fujimi_core.__all__) <= set(dir(fujimi_core))
    with pytest.raises(AttributeError, match="'fujimi_core' has no attribute 'Jobs'"):
        _ = fujimi_core.Jobs
