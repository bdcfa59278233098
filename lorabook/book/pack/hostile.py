"""Answers that want points, the teacher's files or the machine: what a sheet is tried on before it is handed out."""

import re
from pathlib import Path

MODULES = """
import atexit, builtins, ctypes, functools, gc, importlib, importlib.util, itertools, os, random, re, signal, socket
import subprocess, sys, threading, time, urllib.request
from pathlib import Path
import numpy as np
import torch
import lorabook
"""
"""What their cells import."""


def hostile() -> dict[str, str]:
    """Return the code of each by what it tries. It defines `answer`; @EXERCISE@ stands for the name of an exercise."""
    text = Path(__file__).with_name("hostile.txt").read_text(encoding="utf-8")
    parts = re.split(r"^# %% (.+)$", text, flags=re.MULTILINE)[1:]
    if len(set(parts[::2])) < len(parts) // 2:
        raise ValueError("two hostile answers have one name; give each its own")
    return dict(zip(parts[::2], parts[1::2], strict=True))


def cells(text: str, exercise: str, function: str) -> list[str]:
    """Return the cells of a notebook in which a hostile answer stands for an exercise's function."""
    return [MODULES, text.replace("@EXERCISE@", exercise), f"{function} = answer"]
