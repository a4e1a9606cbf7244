"""The plans need Terraform and a provider; where there is neither, they are not collected."""

import os
import shutil
from pathlib import Path

_tool = os.environ.get("TERRAFORM_OFFLINE")
_can_plan = shutil.which("terraform") is not None and _tool is not None and Path(_tool).is_file()

collect_ignore = [] if _can_plan else ["test_terraform_plans.py"]
