package simulate

import "testing"

// These histories broke a law once.

func TestARecreatedAndTruncatedTopicWhoseRowsWereDroppedIsStoredAgain(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Processes: []string{"i"}}, []act{
		{"make the topic again", 2, 0, 0},
		{"produce", 116, 0, 1},
		{"run", 814, 0, 0},
		{"wait", 2, 0, 0},
		{"produce", 0, 0, 1},
		{"run", 3, 0, 0},
		{"run", 817, 863, 0},
		{"truncate", 2, 0, 0},
		{"drop a year", 0, 0, 0},
		{"produce", 395, 0, 0},
		{"run", 561, 2, 0},
		{"start a process", 0, 0, 0},
		{"run", 0, 0, 0},
		{"run", 80, 0, 0},
		{"truncate", 2, 0, 0},
		{"produce", 662, 0, 0},
	}})
}

func TestNoPartHasOlderVersionsOfTheSameLengthAfterARestore(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Processes: []string{"i", "e"}}, []act{
		{"produce", 200, 1, 0},
		{"run", 592, 0, 0},
		{"produce", 83, 2, 0},
		{"request an export", 0, 0, 0},
		{"run a job", 0, 0, 0},
		{"back ClickHouse up", 0, 0, 0},
		{"rest", 0, 0, 0},
		{"run", 198, 0, 0},
		{"restore ClickHouse", 0, 0, 0},
	}})
}

func TestAnErasureOfAReplacedTopicWaitsForWhatIsYetToBeStored(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Erases: true, Processes: []string{"ie"}}, []act{
		{"run", 83, 1, 0},
		{"make the topic again", 1, 0, 1},
		{"produce", 784, 2, 0},
		{"erase", 1, 0, 0},
		{"produce without a key", 0, 0, 0},
		{"run", 81, 0, 0},
		{"run a job", 0, 0, 0},
		{"run", 29, 0, 0},
		{"produce", 0, 0, 1},
		{"truncate", 0, 1, 0},
	}})
}

func TestAnErasureKnowsWhatExportsChoseThoughClickHouseHasLostThat(t *testing.T) {
	replay(t, history{setting{Partitions: 2, Nameless: true, Erases: true, Processes: []string{"i", "e"}}, []act{
		{"run", 747, 1, 0},
		{"erase", 1, 0, 1},
		{"produce", 2, 0, 1},
		{"run", 544, 3, 0},
		{"fail calls", 0, 0, 0},
		{"wait", 0, 0, 0},
		{"start a process", 0, 0, 1},
		{"run a job", 0, 0, 0},
		{"run", 44, 0, 0},
		{"produce without a key", 0, 0, 0},
		{"cancel an export", 0, 0, 0},
		{"run a job", 1, 0, 0},
		{"produce", 1, 0, 1},
		{"run", 114, 0, 0},
		{"produce", 0, 0, 0},
		{"run", 43, 0, 0},
		{"lose ClickHouse", 0, 0, 0},
		{"start a process", 0, 0, 0},
	}})
}

func TestAnErasureNamesARunThatHasWhatIsLeftOfAnEarlierErasureOnceMore(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Erases: true, Processes: []string{"ie"}}, []act{
		{"run", 83, 0, 0},
		{"erase", 1, 2, 0},
		{"wait", 54, 0, 0},
		{"produce", 1, 1, 0},
		{"erase", 1, 2, 0},
		{"run", 294, 0, 0},
		{"run a job", 1, 0, 0},
		{"produce", 839, 0, 0},
		{"run", 0, 0, 0},
		{"run a job", 1, 0, 0},
	}})
}

func TestNothingIsDecidedByWhatBrokersSayOfTwoTopics(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Processes: []string{"e"}}, []act{
		{"produce", 0, 0, 0},
		{"run a job", 1, 0, 0},
		{"run", 112, 0, 0},
		{"make the topic again", 0, 0, 3},
		{"request an export", 1, 0, 1},
		{"begin a transaction", 0, 0, 0},
		{"rest", 0, 0, 0},
	}})
}

func TestWhatIngestRemembersOfAnErasureHidesNotWhatItNamed(t *testing.T) {
	replay(t, history{setting{Partitions: 3, Erases: true, Processes: []string{"i", "ie", "e"}}, []act{
		{"start a process", 0, 0, 1},
		{"produce", 5, 1, 1},
		{"truncate", 1, 0, 0},
		{"rest", 0, 0, 0},
		{"run a job", 0, 0, 0},
		{"erase", 0, 0, 0},
		{"wait", 34, 0, 0},
		{"run", 206, 457, 0},
		{"erase", 0, 0, 1},
		{"produce", 1, 1, 0},
		{"run", 0, 1, 0},
		{"kill a process", 1, 0, 0},
		{"run", 327, 5, 0},
		{"produce without a key", 0, 1, 0},
		{"run", 465, 2, 0},
		{"run a job", 0, 0, 0},
		{"wait", 3, 0, 0},
		{"run", 890, 0, 0},
		{"run", 979, 0, 0},
		{"run", 80, 0, 0},
		{"run", 208, 0, 0},
		{"run", 348, 0, 0},
		{"run", 55, 0, 0},
		{"lose ClickHouse", 0, 0, 0},
		{"produce", 0, 0, 0},
		{"start a process", 0, 0, 2},
		{"run", 34, 649, 0},
	}})
}

func TestAnErasureWhoseRefusalClickHouseLostIsDoneOnceThereIsSomething(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Erases: true, Processes: []string{"ie"}}, []act{
		{"run", 557, 0, 0},
		{"wait", 3, 0, 0},
		{"erase", 1, 2, 0},
		{"rest", 0, 0, 0},
		{"kill a process", 0, 0, 0},
		{"produce", 7, 0, 0},
		{"lose ClickHouse", 0, 0, 0},
	}})
}

func TestAnErasureWhoseRequestIsLostMayHaveRemovedWhatItFound(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Erases: true, Processes: []string{"i", "e"}}, []act{
		{"run", 834, 0, 0},
		{"request an export", 0, 0, 0},
		{"produce", 0, 0, 0},
		{"erase", 0, 2, 0},
		{"fail calls", 1, 0, 430},
		{"rest", 0, 0, 0},
		{"make the topic again", 0, 0, 1},
		{"produce", 344, 1, 0},
		{"run", 5, 345, 0},
		{"run", 43, 0, 0},
		{"wait", 2, 0, 0},
		{"run", 191, 0, 0},
		{"start a process", 0, 0, 1},
		{"run", 33, 0, 0},
		{"run", 200, 0, 0},
		{"run a job", 0, 0, 0},
		{"run", 200, 2, 0},
		{"move Kafka", 0, 0, 0},
	}})
}

func TestReceiversHearOfAnErasureThatFoundNothingAnyMore(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Erases: true, Processes: []string{"ie"}}, []act{
		{"produce", 87, 2, 0},
		{"run", 104, 0, 0},
		{"run a job", 1, 0, 0},
		{"erase", 1, 0, 1},
		{"run", 5, 0, 0},
		{"run", 353, 1, 0},
		{"request an export", 0, 0, 0},
		{"run a job", 0, 0, 0},
		{"run", 110, 288, 0},
		{"lose ClickHouse", 0, 0, 0},
	}})
}

func TestAnErasureThatIsDoneAndOfWhichClickHouseLostTheSubjectsIsCarriedOutAgain(t *testing.T) {
	replay(t, history{setting{Partitions: 3, Erases: true, Processes: []string{"ie"}}, []act{
		{"run", 832, 0, 0},
		{"run", 23, 0, 0},
		{"produce", 2, 0, 0},
		{"wait", 2, 0, 0},
		{"erase", 0, 1, 0},
		{"rest", 0, 0, 0},
		{"run", 3, 0, 0},
		{"run", 771, 0, 0},
		{"wait", 0, 0, 0},
		{"start a process", 0, 0, 2},
		{"run", 449, 0, 0},
		{"lose ClickHouse", 0, 0, 0},
		{"produce without a key", 0, 0, 2},
	}})
}

func TestAnErasureThatClickHouseLostBeforeIngestLookedStaysOne(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Erases: true, Processes: []string{"ie"}}, []act{
		{"produce", 175, 0, 0},
		{"rest", 0, 0, 0},
		{"erase", 0, 0, 0},
		{"wait", 3, 0, 0},
		{"rest", 0, 0, 0},
		{"wait", 2, 0, 0},
		{"rest", 0, 0, 0},
		{"lose ClickHouse", 0, 0, 0},
	}})
}

func TestAnErasureDoesNotNameAnExportThatLeftItsRowsOutForTheirAge(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Erases: true, Processes: []string{"ie"}}, []act{
		{"keep less history", 0, 0, 0},
		{"produce", 41, 0, 0},
		{"run a job", 0, 0, 0},
		{"run", 117, 0, 0},
		{"run", 50, 0, 0},
		{"erase", 0, 0, 1},
	}})
}

func TestARunThatIsRetriedDoesNotContinueOneWhoseRecordsWereWrittenOffMeanwhile(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Processes: []string{"i", "ie", "e"}}, []act{
		{"run a job", 1, 0, 0},
		{"change a job", 1, 2, 0},
		{"produce", 227, 0, 0},
		{"run a job", 1, 0, 0},
		{"produce", 0, 0, 0},
		{"rest", 0, 0, 0},
		{"wait", 2, 0, 0},
		{"retry an export", 0, 0, 0},
		{"run", 40, 0, 0},
		{"run", 336, 0, 0},
		{"run", 593, 0, 0},
		{"run", 757, 0, 0},
		{"drop a year", 0, 0, 0},
		{"make the topic again", 0, 0, 0},
	}})
}

func TestAnErasureThatIsHeldOutlivesClickHouse(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Erases: true, Processes: []string{"ie"}}, []act{
		{"produce", 0, 0, 0},
		{"rest", 0, 0, 0},
		{"hold", 0, 1, 0},
		{"erase", 0, 1, 0},
		{"rest", 0, 0, 0},
		{"wait", 2, 0, 0},
		{"rest", 0, 0, 0},
		{"lose ClickHouse", 0, 0, 0},
	}})
}

func TestAnErasureThatIsHeldAndABackupHasAsAcceptedIsCarriedOut(t *testing.T) {
	for run := range 40 {
		replay(t, history{setting{Partitions: 1, Erases: true, Processes: []string{"ie"}}, []act{
			{"produce", 0, 0, 0},
			{"rest", 0, 0, 0},
			{"hold", 0, 1, 0},
			{"erase", 0, 1, 0},
			{"run", 5 * run, 0, 0},
			{"back ClickHouse up", 0, 0, 0},
			{"rest", 0, 0, 0},
			{"wait", 2, 0, 0},
			{"rest", 0, 0, 0},
			{"restore ClickHouse", 0, 0, 0},
		}})
	}
}

func TestNoObjectOfWhatWasErasedStaysThoughClickHouseIsLostMeanwhile(t *testing.T) {
	for run := range 20 { // among them that between finding it and looking for its objects
		replay(t, history{setting{Partitions: 1, Erases: true, Processes: []string{"ie"}}, []act{
			{"produce", 0, 3, 0},
			{"rest", 0, 0, 0},
			{"erase", 0, 1, 0},
			{"run", 119, 0, 0},
			{"run", 10 + run, 0, 0},
			{"lose ClickHouse", 0, 0, 0},
		}})
	}
}

func TestAnExportOfACopyThatIsLostUnreadCanFailThoughTheOriginalIsStored(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Processes: []string{"ie"}}, []act{
		{"produce", 0, 0, 0},
		{"run", 117, 0, 0},
		{"fail calls", 0, 0, 0},
		{"move Kafka", 0, 0, 0},
		{"request an export", 0, 0, 0},
		{"request an export", 0, 0, 0},
		{"run", 113, 51, 0},
		{"wait", 3, 0, 0},
		{"make the topic again", 0, 0, 0},
	}})
}

func TestNothingIsRemovedBecauseHistoryDoesNotKnowIt(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Retains: true, Processes: []string{"i", "e"}}, []act{
		{"back ClickHouse up", 0, 0, 0},
		{"rest", 0, 0, 0},
		{"produce", 1, 0, 0},
		{"run", 50, 0, 0},
		{"request an export", 0, 0, 0},
		{"rest", 0, 0, 0},
		{"lose status events", 0, 0, 0},
		{"restore ClickHouse", 0, 0, 0},
	}})
}

func TestFilesThatAreDueStayWhileAHoldKeepsThem(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Retains: true, Processes: []string{"ie"}}, []act{
		{"produce", 0, 0, 0},
		{"rest", 0, 0, 0},
		{"request an export", 0, 0, 0},
		{"rest", 0, 0, 0},
		{"wait", 2, 0, 0},
		{"rest", 0, 0, 0},
		{"hold", 0, 3, 0},
		{"stand still", 0, 0, 0},
	}})
}

func TestAnErasureNeedNotNameWhatKafkaLostBeforeHistoryReadIt(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Erases: true, Retains: true, Processes: []string{"e"}}, []act{
		{"run a job", 0, 0, 0},
		{"kill a process", 0, 0, 0},
		{"start a process", 0, 0, 1},
		{"produce", 764, 0, 0},
		{"run", 697, 1, 0},
		{"run", 45, 0, 0},
		{"run", 670, 0, 0},
		{"lose status events", 0, 0, 0},
		{"erase", 0, 1, 0},
	}})
}

func TestHistoryIsToldOfWhatExpiredThoughItKnowsOfARefusalAlone(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Retains: true, Processes: []string{"ie"}}, []act{
		{"produce", 0, 0, 0},
		{"request an export", 0, 0, 0},
		{"rest", 0, 0, 0},
		{"run", 579, 0, 0},
		{"retry an export", 0, 0, 0},
		{"lose status events", 0, 0, 0},
		{"lose ClickHouse", 0, 0, 0},
		{"stand still", 0, 0, 0},
	}})
}

func TestWhatALogHasInPlaceOfWhatWasReadAndNotCommittedIsRead(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Erases: true, Processes: []string{"ie"}}, []act{
		{"rest", 0, 0, 0},
		{"pause a process", 0, 0, 0},
		{"raise the partition count", 0, 0, 0},
		{"run", 28, 0, 0},
		{"resume a process", 0, 0, 0},
		{"produce nonsense", 0, 0, 0},
		{"run", 103, 0, 0},
		{"produce nonsense", 0, 0, 0},
		{"run", 0, 226, 0},
		{"truncate", 0, 1, 0},
		{"produce", 0, 0, 1},
	}})
}

func TestHistoryIsWholeThoughItsReadingAgainBrokeOff(t *testing.T) {
	replay(t, history{setting{Partitions: 2, Retains: true, Bounded: true, Processes: []string{"i", "ie", "e"}}, []act{
		{"run a job", 1, 0, 0},
		{"kill a process", 1, 0, 0},
		{"rest", 0, 0, 0},
		{"kill a process", 0, 0, 0},
		{"stand still", 0, 0, 0},
		{"lose ClickHouse", 0, 0, 0},
		{"start a process", 0, 0, 0},
		{"produce", 2, 0, 1},
		{"rest", 0, 0, 0},
		{"request an export", 0, 0, 0},
		{"fail calls", 0, 0, 802},
		{"run", 199, 1, 0},
		{"start a process", 0, 0, 2},
		{"run", 2, 48, 0},
		{"lose ClickHouse", 0, 0, 0},
		{"run", 24, 3, 0},
		{"request an export", 0, 0, 0},
		{"run", 334, 29, 0},
		{"raise the partition count", 0, 0, 0},
		{"produce", 3, 0, 0},
		{"run", 230, 1, 0},
		{"wait", 0, 0, 0},
		{"run", 552, 263, 0},
		{"stop a process", 0, 0, 0},
	}})
}

func TestAFailedExportIsKeptFromItsFailureOnThoughHistoryMissedThat(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Retains: true, Processes: []string{"ie"}}, []act{
		{"run", 23, 424, 0},
		{"start a process", 0, 0, 1},
		{"run", 354, 773, 0},
		{"wait", 3, 0, 0},
		{"request an export", 0, 0, 0},
		{"produce nonsense", 0, 0, 0},
		{"run", 936, 10, 0},
		{"produce", 0, 0, 0},
		{"stand still", 0, 0, 0},
		{"run", 102, 3, 0},
		{"move Kafka", 0, 0, 0},
	}})
}

func TestACompletedExportUnderAFieldPolicyIsReportedThoughItsWorkerDied(t *testing.T) {
	replay(t, history{setting{Partitions: 2, Nameless: false, Erases: false, Retains: false, Bounded: false, Processes: []string{"i", "e"}}, []act{
		{"run a job", 0, 0, 0},
		{"run", 444, 1, 0},
		{"run", 0, 0, 0},
		{"produce", 2, 2, 0},
		{"change a job", 0, 5, 0},
		{"truncate", 0, 0, 0},
		{"run", 2, 1, 0},
		{"run", 820, 0, 0},
		{"run a job", 0, 0, 0},
		{"start a process", 0, 0, 2},
		{"kill a process", 0, 0, 0},
		{"run", 690, 0, 0},
		{"request an export", 0, 0, 0},
		{"run", 689, 5, 0},
		{"stop a process", 0, 0, 0},
		{"run", 0, 0, 0},
	}})
}

func TestHistoryIsWholeThoughABackupHasEventsWithoutTheirFold(t *testing.T) {
	replay(t, history{setting{Partitions: 2, Erases: true, Retains: true, Processes: []string{"ie", "ie"}}, []act{
		{"run", 431, 316, 0},
		{"fail calls", 0, 0, 5},
		{"produce", 2, 0, 1},
		{"run", 178, 368, 0},
		{"run", 352, 3, 0},
		{"run", 301, 0, 0},
		{"run a job", 0, 0, 0},
		{"produce", 1, 0, 0},
		{"run", 669, 0, 0},
		{"run", 352, 1, 0},
		{"back ClickHouse up", 0, 0, 0},
		{"run", 0, 0, 0},
		{"restore ClickHouse", 0, 0, 0},
		{"run", 0, 0, 0},
	}})
}

func TestAnExportThatHasEndedIsNotSaidToWait(t *testing.T) {
	replay(t, history{setting{Partitions: 2, Retains: true, Processes: []string{"i", "e"}}, []act{
		{"run", 79, 339, 0},
		{"produce", 2, 5, 1},
		{"run", 272, 253, 0},
		{"wait", 2, 0, 0},
		{"run", 569, 0, 0},
		{"request an export", 1, 2, 0},
		{"run a job", 1, 0, 0},
		{"run", 213, 0, 0},
		{"produce", 0, 0, 0},
		{"run", 706, 1, 0},
		{"fail calls", 3, 0, 5},
		{"run", 41, 0, 0},
	}})
}

func TestAnErasureNamesWhatHistoryReadsAgain(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Erases: true, Processes: []string{"i", "e"}}, []act{
		{"produce", 750, 0, 0},
		{"rest", 0, 0, 0},
		{"erase", 0, 0, 0},
		{"run", 40, 0, 0},
		{"run a job", 0, 0, 0},
		{"run", 816, 0, 0},
		{"fail calls", 1, 0, 3},
		{"run a job", 0, 0, 0},
		{"run", 179, 0, 0},
		{"rest", 0, 0, 0},
		{"produce", 1, 0, 0},
		{"produce", 0, 0, 0},
		{"truncate", 0, 0, 0},
		{"run", 116, 0, 0},
		{"lose ClickHouse", 0, 0, 0},
		{"run", 551, 0, 0},
		{"retry an export", 0, 0, 0},
		{"lose ClickHouse", 0, 0, 0},
	}})
}

func TestWhatIsLeftOfARequestLogThatLostItsTailIsHandled(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Erases: true, Retains: true, Processes: []string{"ie"}}, []act{
		{"run a job", 0, 0, 0},
		{"erase", 0, 0, 0},
		{"erase", 0, 0, 0},
		{"produce", 0, 0, 0},
		{"erase", 0, 0, 0},
		{"rest", 0, 0, 0},
		{"truncate requests", 0, 0, 0},
		{"run", 36, 0, 0},
		{"wait", 0, 0, 0},
	}})
}

func TestARowOfManyLostVersionsMayBeAnyOfThem(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Erases: true, Processes: []string{"i", "ie", "e"}}, []act{
		{"run", 250, 5, 0},
		{"produce", 854, 0, 0},
		{"run", 889, 949, 0},
		{"run", 585, 438, 0},
		{"run", 206, 1, 0},
		{"produce", 176, 0, 0},
		{"run", 13, 26, 0},
		{"make the topic again", 1, 0, 0},
		{"run", 400, 1, 0},
		{"run", 154, 0, 0},
		{"produce", 14, 0, 0},
		{"produce", 14, 0, 0},
		{"produce", 36, 0, 0},
		{"move Kafka", 0, 0, 0},
		{"produce", 35, 0, 0},
		{"make the topic again", 0, 0, 0},
	}})
}

func TestAnErasureBelievesThatThereIsNothingWhenItFoundThatTwice(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Erases: true, Processes: []string{"ie", "ie"}}, []act{
		{"run", 187, 792, 0},
		{"raise the partition count", 0, 0, 0},
		{"fail calls", 1, 0, 0},
		{"produce", 789, 1, 1},
		{"erase", 1, 0, 0},
		{"rest", 0, 0, 0},
		{"fail calls", 1, 0, 0},
		{"request an export", 0, 0, 0},
		{"wait", 0, 0, 0},
		{"raise the partition count", 0, 0, 0},
		{"rest", 0, 0, 0},
		{"run", 16, 1, 0},
		{"wait", 2, 0, 0},
		{"run", 165, 5, 0},
		{"produce", 1, 0, 0},
		{"run", 695, 328, 0},
		{"run", 278, 384, 0},
		{"lose ClickHouse", 0, 0, 0},
		{"run", 218, 0, 0},
	}})
}

func TestAnErasureGoesOnThoughTheLogOfItsRequestLostIt(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Erases: true, Retains: true, Processes: []string{"e"}}, []act{
		{"move Kafka", 0, 0, 0},
		{"erase", 0, 0, 0},
		{"produce without a key", 0, 0, 0},
		{"hold", 0, 0, 0},
		{"rest", 0, 0, 0},
		{"pause a process", 0, 0, 0},
		{"run", 48, 0, 0},
		{"truncate requests", 0, 0, 0},
	}})
}

func TestARemovalNamesAContactAsTheRowsBeforeItDid(t *testing.T) {
	replay(t, history{setting{Partitions: 1, Erases: true, Retains: true, Contacts: true, Processes: []string{"ie"}}, []act{
		{"change a job", 0, 3, 1},
		{"produce", 2, 116, 0},
		{"erase", 0, 0, 1},
		{"run a job", 0, 1, 0},
	}})
}
