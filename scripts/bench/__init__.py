"""The benchmark: seq2seq beside other translation toolkits. ``README.md`` says how to run and extend it.

This file and those of ``workers`` are loaded by the toolkits' own interpreters: they import nothing of seq2seq.
"""
