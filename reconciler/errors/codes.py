"""The stable numbers of every error. A number is never reused; a name is never changed.

1-29 are libcontainer's (its `ErrorCode` names), 30-59 the engine's own, 100-149 the
loader's, 150-199 the control loop's and the command line's.
"""

from reconciler.lean import IntEnum


class ErrorCode(IntEnum):
    """Stable integer code of an error; the name is what logs and JSON show."""

    # libcontainer's names
    IdInUse = 1
    InvalidIdFormat = 2
    ContainerNotExists = 3
    ContainerDestroyed = 4
    ContainerPaused = 5
    ContainerNotStopped = 6
    ContainerNotRunning = 7
    ProcessNotExecuted = 8
    ConfigInvalid = 9
    SystemError = 10

    # the engine's own
    CommandNotFound = 30
    CommandNotExecutable = 31
    RootfsNotFound = 32
    MountSourceNotFound = 33
    UserNotFound = 34
    LimitNotSupported = 35
    LimitNotApplied = 36
    PermissionDenied = 37
    NoSpace = 38
    MonitorUnavailable = 39
    MonitorLost = 40
    RecordCorrupt = 41
    StepFailed = 42
    StopTimeout = 43
    NotSupported = 44
    CgroupUnavailable = 45
    HookFailed = 46
    UnsafePath = 47

    # the loader's
    SpecUnreadable = 100
    SpecSyntax = 101
    SpecSchema = 102
    SpecValue = 103
    SpecDuplicateName = 104
    SpecTooLarge = 105
    SpecCycle = 106
    SourceMissing = 110
    SourceUnreadable = 111
    SourceEmpty = 112

    # the control loop's and the command line's
    PruneRefused = 150
    LockTimeout = 151
    NotOwned = 152
    NameNotFound = 153
    Usage = 154
    WatchLimit = 155
    CrashLoop = 156
    LogsOff = 157
    ReactionFailed = 158
    PreStopFailed = 159
    ProbeFailed = 160
    PlanStale = 161
    PlanFileInvalid = 162
    UnitNotOurs = 170
    SystemdFailed = 171
    Internal = 199
