"""The version of bnao, which run.json and study.json tell."""

VERSION = "0.1.0"
