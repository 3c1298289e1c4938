//! The flaws, and what each does. A backend with one of them is one that somebody could have written.

/// One thing that is wrong with a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    // What is published.
    /// Every fifth call answers `Ok`, and nothing is sent.
    SaysOkAndSendsNothing,
    /// Sends when the future is polled, not when the call is made.
    SendsWhenPolled,
    /// The messages of one call go out the last one first.
    ReversesOneCall,
    /// Sends after the deadline too.
    IgnoresDeadlines,
    /// A lane that does not exist is taken for the first.
    TakesEveryLane,
    /// A call without messages is an error.
    RefusesEmptyCalls,
    /// A publish while the link is down never ends.
    HangsWhileDown,
    /// What is too large is cut to what is allowed.
    CutsWhatIsTooLarge,
    /// What is large is accepted and lost.
    LosesWhatIsLarge,
    /// A message without bytes is accepted and lost.
    LosesWhatIsEmpty,
    /// Bytes that are no text become question marks.
    CarriesTextOnly,
    /// Headers are left out, and are said to be carried.
    ForgetsHeaders,
    /// Keys are left out, and are said to be carried.
    ForgetsKeys,
    /// Every message has the same key.
    OneKeyForAll,

    // Names.
    /// Capital letters and dashes are not told from small letters and underscores.
    FoldsNames,
    /// Only the first 150 bytes of a topic's name count.
    CutsTopicNames,
    /// Two clusters are one.
    MixesClusters,
    /// A name that was used once cannot be used again.
    NamesAreSpent,

    // Live topics.
    /// Nothing ever arrives.
    DeliversNothing,
    /// Every tenth live message is lost.
    LosesLiveMessages,
    /// Small messages overtake large ones.
    SmallOvertakesLarge,
    /// Only the first subscription of a node gets anything.
    OneSubscriptionOnly,
    /// The end of one subscription ends all of the node.
    OneEndEndsAll,
    /// A new subscription gets what was published before.
    DeliversTheOld,
    /// Does not say what it dropped.
    HidesWhatItDropped,
    /// Not a flaw: a live topic may deliver a message twice.
    RepeatsLiveMessages,

    // Every inbox.
    /// What was received is lost when `recv` is cancelled then.
    LosesOnCancel,
    /// Gives all that there is, however little was asked for.
    GivesMoreThanAsked,
    /// Takes away what the caller has collected.
    ClearsWhatWasThere,

    // Logs.
    /// Every tenth record is left out.
    LosesRecords,
    /// Records that are read together come the last one first.
    ReversesRecords,
    /// Every record stands at the place 0.
    PlacesStandStill,
    /// Never says that the end was reached.
    NeverCaughtUp,
    /// Says so all the time.
    AlwaysCaughtUp,
    /// Begins with the oldest where the last is asked for.
    LastIsEarliest,
    /// Begins with the oldest where a time is asked for.
    IgnoresTimes,
    /// Begins with the oldest where a place is asked for.
    IgnoresPlaces,
    /// Says nothing of what retention took.
    TrimsSilently,
    /// Says that the first record that is read is the first ever.
    ClaimsTheBeginning,
    /// A second reader begins where the first one stands.
    ReadersShareAPlace,
    /// An empty log cannot be read.
    RefusesEmptyLogs,
    /// A log can be opened once.
    OpensOnce,
    /// What was stored is gone with the node that stored it, or with the server's life.
    ForgetsAtTheEnd,

    // Lanes.
    /// A log has one lane, however many it was to have.
    MakesOneLane,
    /// Every reader reads the first lane.
    ReadsTheFirstLane,
    /// A record says that it is of the first lane.
    ForgetsTheLane,
    /// A group gets what stands in the first lane.
    SharesTheFirstLane,
    /// Nobody is told of lanes that come later.
    HidesNewLanes,
    /// To move a group in one lane is to move it in all.
    ResetsEveryLane,

    // Cursors.
    /// Whoever wants to may save.
    IgnoresFences,
    /// Says that it was saved, and saves nothing.
    SavesNothing,
    /// Keeps the first thousand bytes.
    CutsCursors,
    /// Gives an empty cursor where nothing was saved.
    UnknownIsEmpty,
    /// Joins topic and name without telling where one ends; keeps the first hundred bytes of a name.
    JoinsNames,

    // Groups.
    /// What is acknowledged is given out again when its lease has ended.
    AckOnlyExtends,
    /// Gives what was acknowledged once more.
    RepeatsAcknowledged,
    /// A release waits for the end of the lease.
    ReleaseWaits,
    /// A release is taken for an `Ack`.
    ReleaseIsAck,
    /// Every attempt is the first.
    AlwaysFirstAttempt,
    /// A void token is accepted.
    AcceptsVoidTokens,
    /// An extension is accepted and forgotten.
    ForgetsExtensions,
    /// A lease never ends, and a member that goes keeps what it holds.
    LeasesForever,
    /// A group begins with the oldest record, whatever it is told.
    GroupsBeginEarly,
    /// The start that a member names makes another group of it.
    StartIsPartOfTheName,
    /// All groups of a log are one.
    OneGroupOnly,
    /// A member that waits is not woken.
    NeverWakes,
    /// Says that it shares topics of many events a message, and does not.
    RefusesBatchTopics,
    /// Lanes change hands without a question.
    TakesLanesAway,

    // Administration.
    /// A dry run is a wet one.
    DryRunIsWet,
    /// A reset says what it does, and does nothing.
    ResetsNothing,
    /// A reset always goes to the oldest record.
    ResetsToEarliest,
    /// Making what is there succeeds.
    MakesTwice,
    /// What is not there is described as empty.
    InventsWhatIsNotThere,
    /// Counts one record too many, and no lag.
    Miscounts,
    /// A deletion answers `Ok`, and nothing is deleted.
    DeletesNothing,
    /// Settings are accepted and forgotten.
    ForgetsSettings,
    /// A group with members is deleted and moved as any other.
    MovesBusyGroups,
    /// Lists nothing.
    ListsNothing,

    // What is said of it.
    /// The link is always down.
    NeverUp,
    /// Says that live messages are stored, and has no logs.
    ClaimsToStore,
    /// Says that there are groups, and refuses to join.
    ClaimsGroups,
    /// Says that there are no logs, and has them.
    DeniesLogs,
    /// Refuses groups and does not say what to use.
    RefusesWithoutHelp,
    /// Refuses groups with an error of another kind.
    RefusesWithAnotherKind,
    /// Says that there are cursors and administration, and gives none.
    GivesNoStores,
    /// Says that there are hints, and gives none.
    GivesNoHints,
    /// Shows its password in errors.
    ShowsItsSecret,

    // The end.
    /// `close` never returns.
    CloseHangs,
    /// A second `close` fails.
    SecondCloseFails,
    /// A `recv` that waits is left waiting.
    CloseLeavesReaders,
    /// Goes on after `close` as if nothing had been.
    WorksAfterClose,
    /// One that closes takes the others with it.
    CloseEndsOthers,
    /// A `close` without time is none.
    CloseNeedsTime,
}
