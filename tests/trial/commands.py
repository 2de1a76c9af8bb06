"""Commands that read one given file, which the case made hostile. They write to the case's directory."""

import os


def with_matrix(case, path):
    """A command that reads a matrix from `path`."""
    data = case.world.path("data")
    images, texts = os.path.join(data, "val_images.npy"), os.path.join(data, "val_texts.npy")
    model = case.world.path("whole", "model.safetensors")
    square, one = case.world.path("square.npy"), ["--threads", 1]
    choices = [
        ["eval", "--images", path, "--texts", texts],
        ["eval", "--model", model, "--images", path, "--texts", texts],
        ["embed", "--model", model, "--side", "image", "--input", path, "--output", case.path("out.npy")],
        ["embed", "--model", model, "--side", "image", "--input", path, "--output", case.path("out.safetensors")]
        + ["--dtype", "float16"],
        ["search", "--queries", path, "--gallery", texts, "--k", 3, "--out", case.path("out.npy")],
        ["search", "--queries", images, "--gallery", path, "--k", 3, "--out", case.path("out.html")],
        ["search", "--model", model, "--side", "text", "--queries", texts, "--gallery", path, "--k", 3],
        ["similarity", "--x", path, "--y", texts, "--k", 3],
        ["similarity", "--x", images, "--y", path, "--k", 3],
        ["sinkhorn", "--affinity", path, "--plan", case.path("out.npy"), "--iterations", 20],
        ["klot", "--student", path, "--teacher", square, "--gradient", case.path("out.npy"), "--iterations", 20],
        [
            "divergence",
            "--kind",
            case.random.choice(["klot", "infonce", "cka"]),
            "--student",
            square,
            "--teacher",
            path,
            "--gradient",
            case.path("out.npy"),
            "--iterations",
            20,
        ],
        [
            "shift",
            "--images",
            path,
            "--texts",
            texts,
            "--other-images",
            images,
            "--other-texts",
            texts,
            "--projections",
            5,
        ],
        ["teacher", "--pairs-images", path, "--pairs-texts", texts, "--out", case.path("teacher.safetensors")],
        case.world.train(
            case.path("run"), "--" + case.random.choice(["images", "pairs-images", "val-images"]), path, "--steps", 2
        ),
        ["split", "--images", path, "--texts", texts, "--pairs", 5, "--test", 4, "--out", case.path("split")],
        ["info", path],
    ]
    arguments = case.random.choice(choices)
    return arguments if arguments[0] in ("info", "split", "train") else arguments + one


def with_vector(case, path):
    """A command that reads weights or ids from `path`."""
    data = case.world.path("data")
    images, texts = os.path.join(data, "val_images.npy"), os.path.join(data, "val_texts.npy")
    square, model = case.world.path("square.npy"), case.world.path("whole", "model.safetensors")
    ids = case.world.path("ids.npy")
    return case.random.choice(
        [
            ["sinkhorn", "--affinity", square, "--a", path, "--iterations", 20, "--plan", case.path("out.npy")],
            ["klot", "--student", square, "--teacher", square, "--b", path, "--iterations", 20],
            ["eval", "--model", model, "--images", images, "--texts", texts, "--image-ids", path, "--text-ids", ids],
            [
                "zeroshot",
                "--model",
                model,
                "--images",
                images,
                "--labels",
                path,
                "--prompts",
                texts,
                "--prompt-classes",
                ids,
            ],
            [
                "zeroshot",
                "--model",
                model,
                "--images",
                images,
                "--labels",
                ids,
                "--prompts",
                texts,
                "--prompt-classes",
                path,
            ],
        ]
    ) + ["--threads", 1]


def with_model(case, path):
    data = case.world.path("data")
    return case.random.choice(
        [
            case.world.eval(path, case.path("eval.json")),
            case.world.embed(path, case.path("out.npy")),
            ["info", path],
            case.world.eval(path, case.path("eval.json")) + ["--projection", "teacher"],
            case.world.search(path, case.path("hits.jsonl")),
            [
                "embed",
                "--model",
                path,
                "--side",
                "image",
                "--input",
                os.path.join(data, "images.npy"),
                "--output",
                case.path("out.npy"),
                "--threads",
                1,
            ],
        ]
    )
