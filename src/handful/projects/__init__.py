"""Studio projects: labelled files in a folder of plain files, changed one undoable action at a time.

Knows files, names and history. Does not decode media: what a file is (`kind_of`) and how large or long it is (`describe`)
is told by whoever opens the projects. Knows no models, no training, no web.

    project.json   {format, id, name, modality, created, classes, saved}
    labels.csv     one row a sample, in the order they were added; `handful train PROJECT/media --labels PROJECT/labels.csv`
    media/ab/abcd0123abcd0123.png   named by content; the name it came with is in labels.csv
    history.jsonl  every change with what takes it back; a change is made when its line is complete. The last 1,000 actions at
                   least can be undone; what older ones deleted stays in the trash
    takes.jsonl    recordings; the samples of one share the group `take-<n>`
    trash/         media of deleted samples, until `Project.empty_trash`
    imports/       files on their way in
    runs/ jobs/ findings.json   of other rooms
"""

from handful.projects.archive import Archive, ArchiveError, Limits, Member, named
from handful.projects.contents import NewFile
from handful.projects.folder import Projects, Summary
from handful.projects.history import Action
from handful.projects.imports import FoundTable, Import, Imported, Preview, Received
from handful.projects.labels import Duplicate, Sample
from handful.projects.names import bare, clean_name, similar
from handful.projects.planning import Elsewhere, FoundClass, ImportChoice, Reject
from handful.projects.project import Project
from handful.projects.reasons import NoSpace, NotFound, Outdated, ProjectError, TooLarge
from handful.projects.state import ProjectClass
from handful.projects.takes import Take

__all__ = [
    "Action", "Archive", "ArchiveError", "Duplicate", "Elsewhere", "FoundClass", "FoundTable", "Import", "ImportChoice", "Imported",
    "Limits", "Member", "NewFile", "NoSpace", "NotFound", "Outdated", "Preview", "Project", "ProjectClass", "ProjectError", "Projects",
    "Received", "Reject", "Sample", "Summary", "Take", "TooLarge", "bare", "clean_name", "named", "similar",
]  # fmt: skip
