"""Seven faults of the usual seq2seq tutorial, each in a file of its own or in an option, and what each one costs.

``python -m scripts.faults`` (``make faults``) trains and evaluates; docs/seven-faults.md explains them. The package has
no option for any of them: a fault takes the place of a sound class or function while its training runs. A faulty run's
folder looks like any other, so ``seq2seq translate`` would load it as a sound model: evaluate it by this command alone.
"""
