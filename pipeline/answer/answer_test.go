package answer_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"cdds/pipeline/answer"
)

func TestTheMeaningOfEveryAnswer(t *testing.T) {
	type row struct {
		got, want answer.Meaning
		of        string
	}
	var rows []row
	for code, want := range map[int32]answer.Meaning{
		62: answer.Permanent, 43: answer.Permanent, 457: answer.Permanent,
		60: answer.Mendable, 81: answer.Mendable, 497: answer.Mendable, 516: answer.Mendable, 158: answer.Mendable, 40: answer.Mendable,
		// Memory, time, queries at once, network, disk, parts, replicas, Keeper, cancelled,
		// internal errors: all of them pass.
		241: answer.Passing, 159: answer.Passing, 202: answer.Passing, 209: answer.Passing, 210: answer.Passing, 243: answer.Passing, 252: answer.Passing,
		242: answer.Passing, 285: answer.Passing, 394: answer.Passing, 999: answer.Passing, 49: answer.Passing, 1002: answer.Passing, 0: answer.Passing,
	} {
		rows = append(rows, row{answer.ClickHouse(code), want, fmt.Sprint("ClickHouse ", code)})
	}
	for code, want := range map[int16]answer.Meaning{
		10: answer.Permanent, 17: answer.Permanent, 87: answer.Permanent,
		29: answer.Mendable, 30: answer.Mendable, 58: answer.Mendable, 35: answer.Mendable, 44: answer.Mendable,
		-1: answer.Passing, 3: answer.Passing, 7: answer.Passing, 22: answer.Passing, 25: answer.Passing, 38: answer.Passing, 47: answer.Passing, 69: answer.Passing, 100: answer.Passing,
	} {
		rows = append(rows, row{answer.Kafka(code), want, fmt.Sprint("Kafka ", code)})
	}
	for _, s := range []struct {
		status int
		code   string
		want   answer.Meaning
	}{
		{412, "PreconditionFailed", answer.Exists}, {412, "", answer.Exists},
		{409, "ConditionalRequestConflict", answer.Contended}, {409, "OperationAborted", answer.Contended}, {409, "", answer.Contended},
		{404, "NoSuchKey", answer.Absent}, {404, "", answer.Absent}, {404, "NoSuchBucket", answer.Mendable},
		{400, "KeyTooLongError", answer.Impossible}, {400, "EntityTooLarge", answer.Permanent}, {400, "BadDigest", answer.Passing}, {400, "InvalidArgument", answer.Refused},
		{403, "AccessDenied", answer.Refused}, {403, "", answer.Refused}, {403, "SignatureDoesNotMatch", answer.Mendable}, {403, "RequestTimeTooSkewed", answer.Mendable},
		{429, "", answer.Passing}, {500, "InternalError", answer.Passing}, {501, "NotImplemented", answer.Refused}, {503, "SlowDown", answer.Passing}, {0, "", answer.Passing},
	} {
		rows = append(rows, row{answer.S3(s.status, s.code), s.want, fmt.Sprint("S3 ", s.status, " ", s.code)})
	}
	for _, r := range rows {
		if r.got != r.want {
			t.Errorf("%s means %d, want %d", r.of, r.got, r.want)
		}
	}
}

// What the protocol calls retriable must be Passing, and every name in the table be a code.
func TestKafkaIsTakenAtItsWord(t *testing.T) {
	known := 0
	for code := int16(-1); code < 1000; code++ {
		e := kerr.TypedErrorForCode(code)
		if code != -1 && (e == nil || e.Code != code) {
			if m := answer.Kafka(code); m != answer.Passing {
				t.Errorf("%d is no code of Kafka and means %d", code, m)
			}
			continue
		}
		known++
		if m := answer.Kafka(code); e.Retriable && m != answer.Passing {
			t.Errorf("%s is retriable and means %d", e.Message, m)
		}
	}
	if known < 100 {
		t.Errorf("only %d codes are known", known)
	}
}

func TestTheMeaningTravelsWithTheError(t *testing.T) {
	err := fmt.Errorf("plan: %w", errors.Join(errors.New("closing"), &answer.Error{Service: "ClickHouse", Meaning: answer.Permanent, Err: errors.New("code 62")}))
	if answer.Of(err) != answer.Permanent || !answer.IsPermanent(err) || answer.NeedsOperator(err) {
		t.Errorf("%v means %d", err, answer.Of(err))
	}
	if lost := errors.New("connection reset"); answer.Of(lost) != answer.Passing || answer.IsPermanent(lost) || answer.NeedsOperator(lost) {
		t.Error("a lost connection does not pass")
	}
}
