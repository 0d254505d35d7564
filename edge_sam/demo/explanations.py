"""What the report says of each step: a title, and why it is there."""

STEPS: dict[str, tuple[str, str]] = {
    "synth train": (
        "Draw images to learn from",
        """Every image is drawn by a program, in the layout of SA-1B, with exact masks of its objects, of
        their parts, and of groups of them. The seed decides every pixel. Your own images take their place
        with edgesam demo --data DIR.""",
    ),
    "synth val": (
        "Draw images to measure on",
        "Another seed, so other images. Nothing is learnt from these, and no setting was chosen on them.",
    ),
    "embed": (
        "Store the teacher's embeddings",
        """The teacher's image encoder is the expensive part, and its answer to an image never changes: it
        runs once, and both phases read what it said. The store remembers which teacher, which images, and
        which preprocessing.""",
    ),
    "phase 1": (
        "Phase 1: the student's embedding becomes the teacher's",
        """The student's image encoder starts from random weights and learns one thing: to give the embedding
        that the teacher gives. Prompts and masks take no part, so a step is cheap.""",
    ),
    "convert phase 1": (
        "Convert",
        """The student's encoder is joined with the teacher's prompt encoder and mask decoder. That is a
        usable model already, and the column phase 1 of the table.""",
    ),
    "phase 2": (
        "Phase 2: prompts in the loop",
        """Teacher and student decode the same boxes or points, and their masks are compared. A click is
        placed where they disagree, and both decode again. Encoder and mask decoder of the student learn
        from it: no longer from every number of the embedding, but from what it is used for.""",
    ),
    "convert phase 2": ("Convert", "What belongs to training alone is left behind: this is the model to keep."),
    "evaluate teacher": (
        "Evaluate the teacher",
        "What the students are compared with, and about as far as they can be expected to come.",
    ),
    "evaluate phase 1": ("Evaluate the student of phase 1", "The same prompts on the same images."),
    "evaluate phase 2": (
        "Evaluate the student of phase 2",
        """The same again. Clicks depend on what a model got wrong, so from the second prompt on each model
        gets its own.""",
    ),
}

CAVEATS = (
    """They show that the method works from end to end on this machine, and in which direction each phase
    moves a student. The published recipe has a teacher of 641 million parameters, 1 % of SA-1B at 1024
    px, and a student that starts from ImageNet; nothing here says what comes out of that.""",
    """Phase 2 has seen its images on top of those of phase 1; the table says how many. What the same number
    of images buys when all of them are spent on phase 1 is in docs/results.md, with several seeds. This
    page is one seed.""",
    """Mean IoU is a mean over masks: large and small ones count alike. Differences of a hundredth are within
    what another seed, or other images, would change.""",
)
