"""Cases by kind. A case is a function of a random generator, so that kind, seed and number say which one it is."""

import os

import runner

KINDS = {}


class Finding(Exception):
    """Something that the program must not do."""


def kind(name, weight=1):
    """Registers `function(case)`, which returns an outcome's name or raises Finding; `weight` times in a round."""

    def register(function):
        KINDS[name] = (function, weight)
        return function

    return register


class Case:
    """What a case works with: its dice, the world, a directory of its own, and a record of what it ran."""

    def __init__(self, random, world, place):
        self.random, self.world, self.place = random, world, place
        self.program = world.program
        self.steps = []  # commands and what was done between them

    def path(self, *parts):
        return os.path.join(self.place, *parts)

    def note(self, text):
        self.steps.append("# " + text)

    def start(self, arguments, **options):
        process = self.program.start(arguments, **options)
        self.steps.append(process.shown)
        return process

    def run(self, arguments, **options):
        return self.program.finish(self.start(arguments, **options))

    def finish(self, process):
        return self.program.finish(process)

    def well(self, result, codes=(0, 2)):
        """The result, unless it is one that nothing justifies."""
        reason = runner.misbehaviour(result, codes)
        if reason:
            raise Finding(reason)
        return result

    def expect(self, condition, text):
        if not condition:
            raise Finding(text)


def names_a_file(result, place):
    """Whether the one line of a refusal says which file or path it is about."""
    return place in result.err or "/" in result.err
