"""Models: towers, fusions and tasks, and the folder that a trained one is kept in."""

from mmdist.models.artifact import Artifact, ArtifactInfo, load_artifact, read_task, save_artifact

__all__ = ["Artifact", "ArtifactInfo", "load_artifact", "read_task", "save_artifact"]
