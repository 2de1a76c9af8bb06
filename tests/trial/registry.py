"""Cases by kind. A case depends only on its random generator, so kind, seed and number identify it."""

import os

import runner

KINDS = {}


class Finding(Exception):
    """Something that the program must not do."""


def kind(name, weight=1):
    """Registers `function(case)`, run `weight` times per round; it returns an outcome's name or raises Finding."""

    def register(function):
        KINDS[name] = (function, weight)
        return function

    return register


class Case:
    """What a case works with: its random generator, the world, its own directory, and a record of its steps."""

    def __init__(self, random, world, place):
        self.random, self.world, self.place = random, world, place
        self.program = world.program
        self.steps = []  # commands, and notes on what happened between them

    def path(self, *parts):
        return os.path.join(self.place, *parts)

    def note(self, text):
        self.steps.append("# " + text)

    def start(self, arguments, **options):
        """Starts the program in the case's directory, where generated file names do no harm."""
        process = self.program.start(arguments, cwd=self.place, **options)
        self.steps.append(process.shown)
        return process

    def run(self, arguments, **options):
        return self.program.finish(self.start(arguments, **options))

    def finish(self, process):
        return self.program.finish(process)

    def well(self, result, codes=(0, 2)):
        """Returns the result, or raises Finding if no input justifies it."""
        reason = runner.misbehaviour(result, codes)
        if reason:
            raise Finding(reason)
        return result

    def expect(self, condition, text):
        if not condition:
            raise Finding(text)


def names_a_file(result, place):
    """Whether a refusal names the file or path that it is about."""
    return place in result.err or "/" in result.err
