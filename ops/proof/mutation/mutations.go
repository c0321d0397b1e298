package main

// mutations are in the order of the promises of ops/docs/guarantees.md.
var mutations = []mutation{
	// Every record is stored once, or dead-lettered.
	{
		"takeover", "what is left of a log that lost its tail is handled",
		"consumers/rebalance.go", "for l = l.Before(partition); l != nil;", "for l = l.Before(partition); l != nil && len(l) < 0;",
		"ops/proof/simulate", "TestWhatIsLeftOfARequestLogThatLostItsTailIsHandled",
	},
	{
		"schedule", "a missed run is acknowledged before a later one is requested",
		"producers/schedule/pass.go", "if errs[i] != nil || n >= len(d.wanted) {", "if n >= len(d.wanted) {",
		"producers/schedule", "TestWhatIsDueIsRequestedWhateverFails",
	}, {
		"schedule", "a chain makes up for missed runs one after the other",
		"producers/schedule/pass.go", "\tif d.more {\n", "\tif d.more && p.done.IsZero() {\n",
		"producers/schedule", "TestWhatIsDueIsRequestedWhateverFails",
	},
	{
		"ingest", "a refusal to unpack that Kafka's client throws away is made again",
		"consumers/reader.go", "if r.unpacker.refusals.overdue(time.Now()) {", "if r.unpacker.refusals.overdue(time.Time{}) {",
		"consumers", "TestABatchThatIsNotUnpackedIsPassedThoughItsPartitionWasPaused",
	}, {
		"ingest", "a partition of which nothing is committed can go on behind a batch",
		"consumers/kafka.go", "from[p] = kgo.EpochOffset{Epoch: -1, Offset: starts[p]}", "_ = starts[p]",
		"consumers", "TestABatchThatIsNotUnpackedIsPassedAtTheVeryBeginning",
	},
	{
		"ingest", "only what was handled without a gap is committed",
		"consumers/order.go", "for len(o.open) > 0 && o.open[0].done {", "for len(o.open) > 0 {",
		"consumers", "TestBatchesInFlightCommitOnlyWhatIsDoneWithoutAGap",
	}, {
		"ingest", "an insert that failed is made again",
		"consumers/retry.go", "\t\tif err == nil {\n\t\t\tp.failed(s, nil)", "\t\tif err == nil || n > 0 {\n\t\t\tp.failed(s, nil)",
		"consumers", "TestTheAccountIsExactWhicheverInsertOrCommitFails",
	}, {
		"ingest", "a commit that was refused is repeated",
		"consumers/commit.go", "\"failures\", failures)\n\t\t\tsignal(g.dirty)", "\"failures\", failures)",
		"consumers", "TestRefusedCommitIsRepeated",
	}, {
		"ingest", "a partition moves only after its handler has ended",
		"consumers/rebalance.go", "<-p.done", "_ = p.done",
		"consumers", "TestPartitionMovesOnlyAfterItsHandlerHasEnded",
	}, {
		"ingest", "what cannot be read is dead-lettered",
		"consumers/intake.go", "letters = append(letters, in.letter(r.Record, err))", "_ = in.letter",
		"consumers", "TestMalformedRecordsInEveryPositionAreDeadLettered",
	}, {
		"ingest", "a member in other letter case is refused",
		"schemas/members.go", "if strings.EqualFold(name, known) {", "if name == known {",
		"schemas", "TestAMemberTwiceOrInOtherLetterCaseIsRefusedInEveryDocumentAtEveryDepth",
	}, {
		"ingest", "the scanner is unsure of a member that may be meant for another",
		"schemas/scan.go", "} else if mistakable(into, name) || !others.add(name)", "} else if !others.add(name)",
		"schemas", "TestScannerIsRightOrUnsure",
	}, {
		"ingest", "an id must be Unicode text",
		"schemas/validate.go", "case !utf8.ValidString(id):", "case !utf8.ValidString(id) && false:",
		"schemas", "TestIDsMustBeUnicodeText",
	}, {
		"ingest", "dead letters are kept before what comes after them is handled",
		"consumers/partition.go", "\tif len(letters) > 0 {", "\tif len(letters) > 0 && len(batch.Records) == 0 {",
		"consumers", "TestNothingIsHandledBeforeTheDeadLettersBeforeItAreKept",
	}, {
		"ingest", "the account has a bitmap of the positions of dead letters",
		"pipeline/warehouse/insert.go", "byTopic[l.Topic] = append(byTopic[l.Topic], l.Run())", "_ = l.Run()",
		"pipeline/warehouse", "TestEachPositionCountsOnceUnderWhatBecameOfIt",
	}, {
		"ingest", "what ClickHouse lost is read from Kafka again",
		"consumers/reread.go", "n, err := g.reread(ctx, lineage, run.Partition, first, next)", "n, err := g.reread(ctx, lineage, run.Partition, next, next)",
		"consumers", "TestWhatAHandlerLostIsReadAgainWhereItWas",
	}, {
		"ingest", "what ClickHouse lost and ingest reads again is not dropped as a repetition",
		"pipeline/warehouse/sql/0060_contacts_blocks.sql", "replicated_deduplication_window = 0, non_replicated_deduplication_window = 0", "replicated_deduplication_window = 1000, non_replicated_deduplication_window = 1000",
		"pipeline/warehouse", "TestRowsThatClickHouseLostAreStoredAgainByTheSameInsert",
	}, {
		"ingest", "a letter that is too large for its topic is cut",
		"producers/letter.go", "if size+len(key)+len(value) > room {", "if size+len(key)+len(value) > 100*room {",
		"producers", "TestALetterOfAnyRecordFitsItsTopic",
	}, {
		"ingest", "a batch that unpacks to absurd size is passed",
		"consumers/session.go", "return p == nil || g.pass(member, p, f.FetchPartition, tooLarge)", "return true",
		"consumers", "TestABatchThatUnpacksToAbsurdSizeIsDeadLetteredByItsPositions",
	}, {
		"ingest", "what was trimmed before a batch of absurd size is no void",
		"consumers/fetched.go", "return p.queueUp([]fetched{r}, f.LogStartOffset, f.HighWatermark)", "return p.queueUp([]fetched{r}, 0, f.HighWatermark)",
		"consumers", "TestWhatWasTrimmedBeforeABatchThatIsNotUnpackedIsMissing",
	}, {
		"ingest", "a topic that is made again has new positions",
		"schemas/incarnation.go", "func (i Incarnation) base() int64 { return int64(i.Number) << positionBits }", "func (i Incarnation) base() int64 { return 0 * int64(i.Number) << positionBits }",
		"ops/app", "TestATopicThatIsMadeAgainLosesNoRowsAndMixesNone",
	}, {
		"ingest", "offsets committed of a topic that is gone count for nothing",
		"schemas/incarnation.go", "return l.groupOf(base, max(len(l)-1, 0)) }", "return base }",
		"consumers", "TestATopicThatIsMadeAgainIsReadUnderNewPositionsWithoutARestart",
	},

	// An export has all that was acknowledged before its request, and nothing later.
	{
		"barrier", "an export waits for ingest and says so",
		"consumers/export/watch.go", "if e.behind = e.snapshot.Behind(done); e.behind > 0 {", "if e.behind = 0; e.behind > 0 {",
		"ops/app", "TestAnExportWaitsUntilIngestHasStoredWhatCameBefore",
	}, {
		"barrier", "the wait has an end",
		"consumers/export/watch.go", "case waited > w.IngestWait:", "case waited < 0:",
		"ops/app", "TestAnExportThatWaitedTooLongFailsWithTheReason",
	}, {
		"barrier", "of versions in several partitions the one published last counts",
		"pipeline/warehouse/extent.go", "return e, !decided && versions > rows, err", "return e, !decided && versions < rows, err",
		"pipeline/warehouse", "TestChunksAndRowsAreWhatTheModelSays",
	}, {
		"barrier", "a snapshot ends where readers do",
		"ops/connect/offsets.go", "o.brokers.Stable(ctx", "o.brokers.Ends(ctx",
		"ops/app", "TestAnOpenTransactionHoldsUpNoExport",
	}, {
		"barrier", "what nobody has any more fails an export",
		"consumers/export/watch.go", "w.Log.Gone(ctx, t.topic, gaps)", "w.Log.Gone(ctx, t.topic, gaps[:0])",
		"ops/app", "TestRecordsThatNobodyHasAnyMoreFailAnExportAtOnce",
	}, {
		"barrier", "offsets before a log that was made again are not those of the one before",
		"schemas/incarnation.go", "has && offset >= begin || i.whole() {", "has && offset >= begin || i.Number == 0 {",
		"schemas", "TestATopicMadeAgainAndTrimmedHasNothingOfTheOneBefore",
	}, {
		"barrier", "of a run that a log has in part the rest is gone",
		"schemas/incarnation.go", "return clipped(gone, Run{r.Partition, at, r.Next})", "return gone",
		"schemas", "TestOfARunThatALogHasInPartTheRestIsGone",
	}, {
		"barrier", "a plan that was made while rows were lost is not kept",
		"pipeline/plan.go", "if x.Whole != nil {", "if false {",
		"pipeline/pipelinetest", "TestAPlanMadeWhileRowsWereLostIsNotKept",
	}, {
		"exact", "a part is made of the versions that were planned",
		"pipeline/part.go", "if got != versions {", "if got != versions && false {",
		"pipeline/pipelinetest", "TestNoOlderVersionOfTheSameLengthIsExported",
	}, {
		"exact", "attachments are those of the versions that were planned",
		"pipeline/attachments.go", "if got.versions != versions {", "if false {",
		"pipeline/pipelinetest", "TestNoOlderVersionOfTheSameLengthIsExported",
	}, {
		"barrier", "nothing is waited for of a partition that the topic does not have any more",
		"schemas/snapshot.go", "range s[:min(len(s), len(done))] {", "range s[:len(s)] {\n\t\tif p >= len(done) {\n\t\t\tn += offset\n\t\t\tcontinue\n\t\t}",
		"schemas", "TestSnapshotBehindCountsEachPartitionByItself",
	}, {
		"barrier", "nothing continues an export with records that nobody knows of any more",
		"pipeline/chain.go", "; lost || failed != nil {", "; lost && failed != nil {",
		"consumers/export", "TestAnExportStartsOverWhenNobodyKnowsAnyMoreOfRecordsThatItContinues",
	}, {
		"since", "what a run continues is looked at again when it is planned",
		"pipeline/plan.go", "if err := e.stillContinues(ctx, x); err != nil {", "if err := error(nil); err != nil {",
		"ops/proof/simulate", "TestARunThatIsRetriedDoesNotContinueOneWhoseRecordsWereWrittenOffMeanwhile",
	}, {
		"since", "a run may hold records that were written off while it was at work",
		"pipeline/chain.go", "writeOffs[:min(l.WriteOffs, len(writeOffs))]", "writeOffs",
		"consumers/export", "TestARunStartsOverWhenRecordsWereWrittenOffWhileTheOneBeforeWasAtWork",
	}, {
		"barrier", "what came at or past the snapshot stays out",
		"pipeline/warehouse/read.go", "AND source_offset < arrayElement({snapshot:Array(Int64)}, source_partition + 1)`\n\tif keys", "AND source_offset >= 0 * arrayElement({snapshot:Array(Int64)}, source_partition + 1)`\n\tif keys",
		"pipeline/warehouse", "TestChunksAndRowsAreWhatTheModelSays",
	}, {
		"barrier", "what ClickHouse lost is looked for, whatever was committed",
		"consumers/export/watch.go", "if err != nil || lost == 0 {", "if err != nil || lost >= 0 {",
		"ops/app", "TestNothingThatClickHouseLostIsLeftOutOfACompletedExport",
	}, {
		"exact", "the plan has as many rows and bytes as were counted apart",
		"pipeline/plan.go", "if planned != extent {", "if false {",
		"pipeline/pipelinetest", "TestNoAnswerThatWasCutShortMakesAnExportShort",
	}, {
		"exact", "a part has the rows and bytes of its plan",
		"pipeline/part.go", "if lines.rows != r.Rows || lines.bytes != r.Bytes {", "if false {",
		"pipeline/pipelinetest", "TestNoAnswerThatWasCutShortMakesAnExportShort",
	}, {
		"exact", "a receiver compares the digest of every file",
		"pipeline/receiver/verify.go", `"its", sum, want)`, `"its", sum, hex.EncodeToString(sum.Sum(nil)))`,
		"pipeline/receiver", "TestVerifyFindsEveryChange",
	}, {
		"exact", "a row that does not state its attributes is not left out",
		"pipeline/warehouse/attributes.go", "if len(q.Filter.Attributes) == 0 {", "if len(q.Filter.Attributes) >= 0 {",
		"pipeline/warehouse", "TestARowFromBeforeAttributesWereStoredIsNeverLeftOut",
	},

	// Runs that continue each other hold every version once.
	{
		"since", "what came before the export that is continued stays out",
		"pipeline/warehouse/difference.go", `differs := "NOT (had AND`, `differs := "NOT (0 AND had AND`,
		"pipeline/pipelinetest", "TestWhatDiffersFromAnEarlierExportGivesTheWholeWhenApplied",
	}, {
		"since", "a place in a chain is one run's",
		"pipeline/chain.go", "if err == nil && at.ExportID != x.ID {", "if false {",
		"consumers/export", "TestRunsOfAChainTogetherAreAlwaysTheWhole",
	}, {
		"since", "a chain that was started over does not go on",
		"pipeline/continued.go", "case r.ChainFrom.After(previous.ErasedTo.Time):", "case false:",
		"consumers/export", "TestRunsOfAChainTogetherAreAlwaysTheWhole",
	}, {
		"since", "what is not selected any more is removed, and only that",
		"pipeline/warehouse/difference.go", "had AND NOT passing_now", "NOT passing_now",
		"pipeline/pipelinetest", "TestWhatDiffersFromAnEarlierExportGivesTheWholeWhenApplied",
	}, {
		"since", "only a completed export can be continued",
		"consumers/export/accept.go", "case state != schemas.Completed:\n\t\treturn nil, refuse", "case state == schemas.Expired:\n\t\treturn nil, refuse",
		"consumers/export", "TestOnlyACompletedExportOfTheSameEntityCanBeContinued",
	}, {
		"takeover", "of two workers' parts the one stored first counts",
		"pipeline/part.go", "if errors.Is(err, bucket.ErrExists) { // another", "if err != nil && part.Number < 0 { // another",
		"pipeline/pipelinetest", "TestAZombieThatWakesUpAtAnyStepEndsInTheSameSet",
	}, {
		"takeover", "of two workers' plans and manifests the one stored first counts",
		"pipeline/once.go", "\t\tif errors.Is(err, bucket.ErrExists) {", "\t\tif errors.Is(err, bucket.ErrExists) && content == nil {",
		"pipeline/pipelinetest", "TestAZombieThatWakesUpAtAnyStepEndsInTheSameSet",
	}, {
		"takeover", "a write that somebody is at is not one that is done",
		"pipeline/bucket/bucket.go", "case m == answer.Exists:", "case m == answer.Exists, m == answer.Contended:",
		"pipeline/bucket", "TestAPutWaitsForAnotherWriterAndThenSeesWhatCameOfIt",
	},

	// Cancel, delete and retry do what they say.
	{
		"control", "a cancel comes to the worker that completes the export",
		"consumers/export/run.go", "if err == nil && (cancelled || state != schemas.Completed) {", "if err == nil && cancelled && state == \"\" {",
		"consumers/export", "TestACancelAtAnyStepOfAnotherWorkerEndsEitherWay",
	}, {
		"control", "a part that is stored after the cancel is withdrawn",
		"pipeline/ending.go", "if err != nil || !gone {", "if err != nil || !gone || key != \"\" {",
		"consumers/export", "TestACancelAtAnyStepOfAnotherWorkerEndsEitherWay",
	}, {
		"control", "a cancel ends the query that runs",
		"consumers/export/own.go", "\te.stop(pipeline.ErrGone)\n\tselect {", "\tselect {",
		"consumers/export", "TestACancelEndsTheQueryThatRunsAndLeavesNothing",
	}, {
		"control", "messages about one export are taken in the order of the log",
		"consumers/export/accept.go", "for _, r := range of[key] {", "for n := range of[key] {\n\t\t\t\tr := of[key][len(of[key])-1-n]",
		"consumers/export", "TestMessagesAboutOneExportAreTakenInTheirOrder",
	}, {
		"control", "an outage at any step delays an export and loses none",
		"consumers/export/run.go", "if err == nil || ctx.Err() != nil {\n\t\t\treturn to", "if err == nil || err != nil {\n\t\t\treturn to",
		"consumers/export", "TestAnExportThatMeetsAnOutageAtAnyStepComesToItsEnd",
	}, {
		"control", "whoever owns a partition next carries out what is open",
		"consumers/export/own.go", "if home(shard, partitions) != o.partition {", "if home(shard, partitions) == o.partition {",
		"consumers/export", "TestTheNextOwnerCarriesOutWhatIsOpen",
	}, {
		"control", "a request older than what is remembered is never carried out",
		"consumers/export/accept.go", "if !r.Event.Controls() && !w.isOld(r.Time) {", "if !r.Event.Controls() {",
		"consumers/export", "TestARequestOlderThanWhatIsRememberedIsRefusedAsTooOld",
	}, {
		"control", "a delete removes the artifacts",
		"consumers/export/control.go", "pipeline.Discarded(reason, w.Exporter.Discard(ctx, tenantID, exportID)); err != nil {", "pipeline.Discarded(reason, nil); err != nil {",
		"ops/app", "TestARetriedExportGoesOnAndADeletedOneLeavesNoArtifacts",
	},

	// One tenant does not wait for another.
	{
		"fairness", "who holds fewest goes first",
		"consumers/export/slots.go", "cmp.Compare(s.held[a], s.held[b])) < 0", "cmp.Compare(s.held[a], s.held[b])) < -1",
		"consumers/export", "TestASmallExportWaitsForAtMostOnePartOfALargeOne",
	}, {
		"fairness", "a tenant has a limit",
		"consumers/export/slots.go", "if s.tenants[w.key.tenantID] < s.perTenant && (", "if (",
		"consumers/export", "TestATenantHoldsAtMostItsSlotsAndOthersTakeTheRest",
	},

	// What takes the place of lost records is read.
	{
		"ingest", "a log that lost its tail is read on from what was committed of it",
		"schemas/nextincarnation.go", "at = min(end, max(r.Committed, begin))", "_ = begin",
		"ops/proof/simulate", "TestWhatALogHasInPlaceOfWhatWasReadAndNotCommittedIsRead",
	},

	// Artifacts go when their time is over; bucket and history agree.
	{
		"retention", "artifacts go at the instant they are due",
		"ops/retention/retention.go", "return ok && !now.Before(at)", "return ok && now.After(at)",
		"ops/retention", "TestArtifactsAreDueAtTheInstantTheManifestNamesAndNotBefore",
	}, {
		"retention", "expiry removes the artifacts",
		"ops/retention/retention.go", "pipeline.Discarded(reason, k.Artifacts.Discard(ctx, e.TenantID, e.ExportID))", "pipeline.Discarded(reason, nil)",
		"ops/app", "TestAfterThirtyDaysObjectsStatusAndHistoryAgree",
	}, {
		"retention", "removing leaves no version",
		"pipeline/bucket/remove.go", "if !kept {\n\t\treturn b.remove(ctx, key, \"\")", "if !kept || true {\n\t\treturn b.remove(ctx, key, \"\")",
		"pipeline/bucket", "TestRemovingLeavesNoVersion",
	}, {
		"retention", "a removal that breaks off leaves the object listed",
		"pipeline/bucket/versions.go", "case a.latest == b.latest:", "case a.latest == b.latest || b.latest || a.latest:",
		"pipeline/bucket", "TestARemovalThatBreaksOffLeavesTheObjectListed",
	}, {
		"retention", "what is held is under a legal hold",
		"pipeline/bucket/hold.go", "for _, id := range ids {", "for _, id := range ids[:0] {",
		"pipeline/bucket", "TestWhatIsHeldIsUnderALegalHold",
	}, {
		"retention", "a lock that is not ours is reported",
		"pipeline/ending.go", "return reason + \"; \" + kept.Error(), nil", "return reason, nil",
		"ops/retention", "TestALockThatIsNotOursIsReportedAndSweptOnceItIsLifted",
	}, {
		"retention", "a bucket that keeps everything for a time is refused",
		"pipeline/bucket/probe_locks.go", "is.days == 0 {", "is.days >= 0 {",
		"pipeline/bucket", "TestAStoreThatCannotKeepThePromiseIsRefusedWithTheReason",
	}, {
		"retention", "the store itself keeps what a hold keeps",
		"ops/retention/holding.go", "h.mark(ctx, files, true)", "h.mark(ctx, nil, true)",
		"ops/retention", "TestTheStoreItselfKeepsWhatAHoldKeeps",
	}, {
		"retention", "what is held no longer may go by age again",
		"ops/retention/holding.go", "h.mark(ctx, files, false)", "h.mark(ctx, files[:0], false)",
		"ops/retention", "TestTheStoreItselfKeepsWhatAHoldKeeps",
	}, {
		"retention", "what the store does not remove with many others is removed by itself",
		"pipeline/bucket/remove.go", "\t\tif !left[key] {", "\t\tif len(keys) > 1 {",
		"pipeline/bucket", "TestWhatIsNotRemovedTogetherIsRemovedOneByOne",
	}, {
		"retention", "objects without history are removed",
		"ops/retention/sweep.go", "report.Orphans += removed", "report.Orphans -= removed",
		"ops/app", "TestTheSweepRemovesOrphansAndOwnsUpToWhatIsLost",
	}, {
		"retention", "history of objects that are gone is corrected",
		"ops/retention/sweep.go", "if listed.gone == 0 {", "if listed.gone >= 0 {",
		"ops/app", "TestTheSweepRemovesOrphansAndOwnsUpToWhatIsLost",
	}, {
		"retention", "what history does not know is removed only if the bucket says that its time is over",
		"ops/retention/sweep.go", "f.kind, f.why = unproven, \"history does not know it;", "f.kind, f.why = orphan, \"history does not know it;",
		"ops/proof/simulate", "TestNothingIsRemovedBecauseHistoryDoesNotKnowIt",
	}, {
		"retention", "an export whose end history missed goes when its time is over",
		"ops/retention/sweep.go", "if known && !emptied(state) && !underWay(state) {", "if known && !emptied(state) {",
		"ops/retention", "TestAnExportWhoseEndHistoryMissedGoesWhenItsTimeIsOver",
	}, {
		"retention", "a completed export that is reported to wait keeps when it is due",
		"schemas/fold.go", "if s.Completion != nil { //", "if true { //",
		"schemas", "TestFoldKeepsWhatWasStoredOfACompletedExportWhateverIsSaidLater",
	}, {
		"retention", "an export that has ended is not reported to wait",
		"consumers/export/waiting.go", "due = due && !state.Ended()", "_ = state.Ended()",
		"ops/proof/simulate", "TestAnExportThatHasEndedIsNotSaidToWait",
	}, {
		"retention", "a hold keeps files that are due",
		"ops/retention/retention.go", "h, held := holds.OfExport(exportID)", "h, held := holds.OfExport(\"\")",
		"ops/proof/simulate", "TestFilesThatAreDueStayWhileAHoldKeepsThem",
	}, {
		"retention", "nothing is removed before history holds what Kafka has",
		"ops/retention/caughtup.go", "if behind == 0 {", "if behind >= 0 {",
		"ops/retention", "TestNothingIsRemovedBeforeHistoryHoldsWhatKafkaHas",
	}, {
		"retention", "history folds again what was stored and not folded",
		"ops/app/roles.go", "return []role{r, fold, a.healer(", "_ = fold\n\treturn []role{r, a.healer(",
		"ops/app", "TestHistoryFoldsAgainWhatARestoreLeftUnfolded",
	}, {
		"retention", "history reads again what ClickHouse lost",
		"ops/app/roles.go", "return []role{r, fold, a.healer(\"history.heal\", schemas.GroupHistory, schemas.TopicExportStatus, group), trail", "_ = group\n\treturn []role{r, fold, trail",
		"ops/app", "TestHistoryReadsAgainWhatClickHouseLost",
	}, {
		"retention", "a disagreement is seen twice before it is settled",
		"ops/retention/sweep.go", "k.seen.since(f, now.Add(-k.Grace))", "k.seen.since(f, now)",
		"ops/retention", "TestADisagreementIsSettledOnlyWhenItIsSeenAgainAGraceLater",
	}, {
		"retention", "too many disagreements wait for an operator",
		"ops/retention/sweep.go", "(!stopped || f.kind.proven())", "(!stopped || f.kind != unproven)",
		"ops/retention", "TestTooManyDisagreementsStopTheSweepUntilTheyAreConfirmed",
	}, {
		"retention", "what the bucket proves is kept",
		"ops/retention/sweep.go", "case !accepted || standing.Cancelled || over:", "case !known:",
		"ops/retention", "TestWhatTheBucketProvesIsKeptThoughHistoryAndKafkaLostIt",
	}, {
		"retention", "an event alone removes nothing",
		"ops/retention/retention.go", "case !standing.Cancelled && !standing.Over(k.Now(), lifetime):", "case !standing.Cancelled && kept < 0:",
		"ops/retention", "TestWhatEventsSayIsNotBelievedWhereTheBucketSaysOtherwise",
	},

	{
		"retention", "rows that are aged out stay accounted for",
		"pipeline/warehouse/ageing.go", "kindAgedOut)}", "\"nothing\")}",
		"ops/app", "TestHistoryAgesOutAsThePolicySaysAndManifestsSayWhatIsLeftOut",
	}, {
		"retention", "exports leave out what is kept no longer",
		"pipeline/exporter.go", "\t\tq.Filter.From = x.HistoryFrom", "\t\tq.Filter.From = x.Filter.From",
		"ops/app", "TestHistoryAgesOutAsThePolicySaysAndManifestsSayWhatIsLeftOut",
	},

	// Attachments are there with their content.
	{
		"attachments", "an object's digest is compared with its event's",
		"pipeline/attachments.go", "case hexSum(sum) != a.SHA256:", `case hexSum(sum) == "":`,
		"ops/app", "TestAttachmentsComeOutAsFilesAndWhatIsMissingIsTold",
	}, {
		"attachments", "a reference to another tenant's object is not followed",
		"pipeline/attachments.go", "if err := a.CheckObject(tenantID); err != nil {", "if err := a.CheckObject(tenantID); err != nil && e == nil {",
		"pipeline/pipelinetest", "TestAnObjectOfAnotherTenantIsNotOpenedWhateverIsStored",
	}, {
		"attachments", "what the store never gives is a line of the index",
		"pipeline/attachments.go", "case errors.As(err, &refused):", "case errors.As(err, &refused) && err == nil:",
		"pipeline/pipelinetest", "TestAnAnswerThatNothingChangesEndsInTheIndexAndAnyOtherIsTriedAgain",
	}, {
		"attachments", "an export reads attachments by the names that ingest took",
		"schemas/read.go", "json.Unmarshal(body, &i, readHalves)", "json.Unmarshal(body, &i, readHalves, json.MatchCaseInsensitiveNames(true))",
		"pipeline/pipelinetest", "TestAStoredInteractionHasTheAttachmentsThatIngestReadInIt",
	},

	// What is down is waited for, in bounded memory, and nothing is lost.
	{
		"pressure", "a partition that is stuck is left out of polls",
		"consumers/room.go", "p.member.Pause(p.id)", "p.paused = false",
		"consumers", "TestStuckPartitionHoldsItsShareAndOthersGoOn",
	}, {
		"pressure", "who is stuck is not ready",
		"consumers/partition.go", "if d := now.Sub(f.since); d > stuckAfter {", "if d := now.Sub(f.since); d > 1000*stuckAfter {",
		"consumers", "TestGroupIsNotReadyWhileItIsStuck",
	}, {
		"pressure", "memory is reserved before it is taken",
		"pipeline/spool.go", "if err := s.bytes.Acquire(ctx, size); err != nil {", "if err := s.bytes.Acquire(ctx, 0); err != nil {",
		"pipeline", "TestReservationsNeverExceedTheBoundAndNeverBlockForEver",
	}, {
		"pressure", "an insert that is not answered is given up",
		"pipeline/tables/insert.go", "context.WithTimeoutCause(ctx, db.insertTimeout, ", "context.WithTimeoutCause(ctx, 100*insertTimeout, ",
		"pipeline/tables", "TestAnInsertThatIsNeverAnsweredIsGivenUpSoThatItCanBeTriedAgain",
	},

	// What one web process acknowledged, every other one has.
	{
		"replicas", "a copy reads its topic to the end before it says that none exists",
		"consumers/sync.go", "if behind == 0 {", "if behind >= 0 {",
		"consumers", "TestWhatWasAcknowledgedIsReadAfterASync",
	}, {
		"replicas", "whoever syncs gets an answer of Kafka that is not older",
		"consumers/sync.go", "r.next = nil // who comes now", "_ = r.next // who comes now",
		"consumers", "TestWhatWasAcknowledgedIsReadAfterASync",
	}, {
		"replicas", "a request that history does not know is looked for in its topic",
		"ops/admin/exports.go", "return h.Requests.Export(ctx, h.tenant, id)", "return nil, ctx.Err()",
		"ops/app", "TestWhatOneProcessAcknowledgedAnotherOneHasAtOnce",
	}, {
		"replicas", "what Kafka does not confirm is an error",
		"consumers/recent/recent.go", "err := r.log.Sync(ctx); err != nil {\n\t\treturn nil, err", "err := r.log.Sync(ctx); err != nil {\n\t\treturn nil, nil",
		"consumers/recent", "TestWhatIsNotCertainIsAnErrorAndNotNothing",
	},

	// Who did what is on record.
	{
		"audit", "controls are recorded",
		"consumers/export/control.go", "if err := w.auditControl(ctx, r.Event); err != nil {", "if err := error(nil); err != nil {",
		"ops/app", "TestTheAuditTrailSaysWhoAskedForWhatAndWhatCameOfItOnce",
	},
}
