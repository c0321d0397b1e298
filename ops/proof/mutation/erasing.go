package main

// erasing are the mechanisms by which what is erased is gone, and stays so.
var erasing = []mutation{
	{
		"erasure", "what is read from Kafka again is not stored again",
		"pipeline/warehouse/forgetting.go", "if !gone {", "if !gone || s.ID != \"\" {",
		"ops/app", "TestWhatIsErasedIsGoneAndReadingKafkaAgainDoesNotBringItBack",
	}, {
		"erasure", "what a paused ingest stores late is removed again",
		"consumers/erasure/again.go", "rows, err := h.Rows.EraseAgain(ctx, e)", "rows, err := int64(0), error(nil)",
		"ops/app", "TestWhatAnIngestThatWasPausedStoresAfterTheErasureIsRemovedAgain",
	}, {
		"erasure", "exports that held it are deleted where that is asked for",
		"consumers/erasure/erasure.go", "\tif e.Request.DeleteArtifacts {", "\tif e.Request.DeleteArtifacts && e.Rows < 0 {",
		"ops/app", "TestAnErasureNamesAndDeletesTheExportsThatHoldItAndNoOthers",
	}, {
		"erasure", "exports that do not hold it are not named",
		"pipeline/warehouse/impact.go", "return v, found && q.passes(v)", "return v, found",
		"ops/app", "TestAnErasureNamesAndDeletesTheExportsThatHoldItAndNoOthers",
	}, {
		"erasure", "a run that has what is left of an earlier erasure once more is named",
		"pipeline/warehouse/impact.go", "|| i.toldOf(x.Continues, q.Filter.Entity, row))", ")",
		"pipeline/warehouse", "TestTheExportsThatHoldAnInteractionAreThoseWhoseModelHasIt",
	}, {
		"erasure", "exports that left a row out, because it is kept no longer, are not named",
		"pipeline/warehouse/impact.go", "x.HistoryFrom.Compare(q.Filter.From) > 0", "false",
		"pipeline/warehouse", "TestTheExportsThatHoldAnInteractionAreThoseWhoseModelHasIt",
	}, {
		"erasure", "who was erased is read on in the log before each insert",
		"pipeline/warehouse/forgetting.go", "\terasures, err := f.carryOut(ctx, whole)\n", "\tvar erasures int\n\tvar err error\n\tif whole {\n\t\terasures, err = f.carryOut(ctx, whole)\n\t}\n",
		"pipeline/warehouse", "TestAnErasureThatClickHouseLostBeforeIngestLookedIsKnownFromTheLog",
	}, {
		"erasure", "ClickHouse is asked whether it still has what it had",
		"pipeline/warehouse/forgetting.go", "if !there[e] {", "if !there[e] && false {",
		"pipeline/warehouse", "TestWhatWasErasedIsDroppedThoughClickHouseForgetsIt",
	}, {
		"erasure", "what Kafka lost before anybody read it is not waited for",
		"consumers/erasure/await.go", "s[p] = min(s[p], end[p])", "_ = end[p]",
		"consumers/erasure", "TestAnErasureDoesNotWaitForWhatKafkaLostUnread",
	}, {
		"erasure", "the exports that hold it are written down before it is removed",
		"consumers/erasure/erasure.go", "first, err := h.Decisions.Find(ctx, e)", "first, err := e, error(nil)",
		"ops/app", "TestAnErasureThatDiedAfterItsRowsWereGoneStillNamesTheExportsThatHoldThem",
	}, {
		"erasure", "the objects of what ClickHouse had lost for a moment are looked for again",
		"consumers/erasure/objects.go", "\tfor {\n\t\tif err := h.await(ctx, *e, \"ingest\", behind); err != nil {", "\tbehind = h.storing()\n\tfor {\n\t\tif err := h.await(ctx, *e, \"ingest\", behind); err != nil {",
		"ops/proof/simulate", "TestNoObjectOfWhatWasErasedStaysThoughClickHouseIsLostMeanwhile",
	}, {
		"erasure", "what topics hold of contacts is waited for, too",
		"consumers/erasure/await.go", "{topic: schemas.TopicInteractions, to: e.Interactions}, {topic: schemas.TopicContacts, to: e.Contacts}", "{topic: schemas.TopicInteractions, to: e.Interactions}",
		"ops/proof/simulate", "TestHistories",
	}, {
		"erasure", "nothing found is not done",
		"consumers/erasure/erasure.go", "if impact.Versions == 0 || len(unknown) > 0 && !e.Request.SkipUnknown {", "if impact.Versions < 0 {",
		"ops/app", "TestAnErasureOfNothingIsNotDone",
	}, {
		"erasure", "who was erased is kept in Kafka too",
		"consumers/erasure/erasure.go", "return h.Publisher.Publish(ctx, events...)\n\t})", "return nil\n\t})",
		"ops/app", "TestAfterARestoreAnExportIsWhatItWasAndTheErasedStayErased",
	}, {
		"erasure", "what was decided outlives ClickHouse",
		"consumers/erasure/resume.go", "if err == nil && !held && left.isLeft(key, end, done) {", "if err == nil && !held && shown[key].State != \"\" && left.isLeft(key, end, done) {",
		"ops/proof/simulate", "TestAnErasureThatIsHeldOutlivesClickHouse",
	}, {
		"erasure", "how an erasure ended is shown again once ClickHouse has lost that",
		"ops/app/remember.go", "\t\te = decided\n", "\t\t_ = decided\n",
		"ops/app", "TestAfterARestoreAnExportIsWhatItWasAndTheErasedStayErased",
	}, {
		"erasure", "what ClickHouse has lost is back before an erasure that broke off goes on",
		"consumers/erasure/erasure.go", "_, left, err := h.look(ctx, &as)", "left, err := h.Rows.Impact(ctx, as)",
		"consumers/erasure", "TestAnErasureThatBrokeOffIsHeldThoughClickHouseIsLost",
	}, {
		"erasure", "that there is nothing is believed when it was found twice",
		"consumers/erasure/await.go", "(sure || known", "(sure || !sure || known",
		"ops/proof/simulate", "TestAnErasureBelievesThatThereIsNothingWhenItFoundThatTwice",
	}, {
		"erasure", "an erasure that waits goes on though the log of its request lost it",
		"consumers/erasure/resume.go", "below(u[key], end).Behind(done) == 0", "below(u[key], nil).Behind(done) == 0",
		"ops/proof/simulate", "TestAnErasureGoesOnThoughTheLogOfItsRequestLostIt",
	}, {
		"erasure", "an erasure names the exports of a history that is read again",
		"consumers/erasure/await.go", "if n, err = h.behind(ctx, events); err != nil || n > 0 {", "if n, err = h.behind(ctx, events); err != nil || n >= 0 {",
		"consumers/erasure", "TestAnErasureNamesTheExportsOfAHistoryThatIsReadAgain",
	}, {
		"erasure", "an erasure looks again if history was lost while it looked",
		"consumers/erasure/holding.go", "lost, err := behind(ctx); err != nil || lost == 0 {", "lost, err := behind(ctx); err != nil || lost >= 0 {",
		"consumers/erasure", "TestAnErasureNamesTheExportsOfAHistoryThatIsReadAgain",
	}, {
		"erasure", "exports are looked at again after it is removed",
		"consumers/erasure/erasure.go", "if found.Versions > 0 {", "if found.Versions < 0 {",
		"consumers/erasure", "TestAnErasureNamesTheExportsThatBeginWhileItRemoves",
	}, {
		"erasure", "what another process has removed is not nothing",
		"consumers/erasure/erasure.go", "} else if was {", "} else if was && e.Rows < 0 {",
		"consumers/erasure", "TestWhatAnotherProcessHasRemovedIsNotNothing",
	}, {
		"erasure", "the watch forgets what was handled",
		"consumers/erasure/resume.go", "\t\t\tdelete(left, key)\n", "",
		"consumers/erasure", "TestTheWatchPublishesARequestOnceUntilItIsHandled",
	},
}
