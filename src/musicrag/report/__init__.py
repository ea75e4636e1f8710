"""Finished runs become tables (md, csv, LaTeX) and a figure."""
