"""`make gpu-check`: everything tried on this GPU, in one command, one record and one page."""

from hired.gpu_check.check import run_check, save

__all__ = ["run_check", "save"]
