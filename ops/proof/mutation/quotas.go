package main

// quotas are the mechanisms that bound what a tenant may have.
var quotas = []mutation{
	{
		"fairness", "a quota bounds the open exports of a tenant",
		"pipeline/quota.go", "u.Open >= u.Exports", "u.Open > u.Exports",
		"consumers/export", "TestATenantHasAsManyOpenExportsAsItsQuotaAllowsWhicheverWorkerDecides",
	}, {
		"fairness", "what is accepted is open before the next request of the tenant is counted",
		"consumers/export/accept.go", "defer w.admitOne(b, r.Event.TenantID)()", "w.admitOne(b, r.Event.TenantID)()",
		"consumers/export", "TestOfManyRequestsReadTogetherTheQuotaAcceptsAsManyAsItAllows",
	}, {
		"fairness", "a quota bounds the bytes of a day",
		"pipeline/quota.go", "u.Sealed >= u.Bytes", "u.Sealed > u.Bytes",
		"consumers/export", "TestATenantWhoseExportsOfTodayHaveTheBytesOfItsQuotaIsRefusedUntilTomorrow",
	}, {
		"fairness", "requests are decided without history",
		"pipeline/quota.go", "return Quota{Exports: of.Exports}", "return of",
		"consumers/export", "TestWhatIsRequestedAndCancelledNeedsNoHistoryWhereBytesAreBounded",
	}, {
		"fairness", "an export that has a plan began",
		"consumers/export/run.go", "err != nil || began {", "err != nil || began && false {",
		"consumers/export", "TestAnExportThatBeganIsCarriedOutWhateverItsTenantHasSealedMeanwhile",
	}, {
		"fairness", "whether an attempt is within the quota of bytes is decided once",
		"pipeline/attempts.go", "exportID)+quotaName(attempt)", "exportID)+quotaName(int(d.Now().UnixNano()))",
		"consumers/export", "TestARetryIsWithinTheQuotaToo",
	}, {
		"fairness", "a retry is bounded by the open exports",
		"consumers/export/control.go", "b.admit(ctx, tenantID, exportID)", "error(nil)",
		"consumers/export", "TestARetryIsWithinTheQuotaToo",
	}, {
		"fairness", "the API refuses what the quota does not allow",
		"ops/admin/quota.go", "err := h.Quotas.AdmitOpen(ctx, h.tenant, \"\")", "err := error(nil)",
		"ops/app", "TestAQuotaIsTheSameForTwoReplicasAndWhoeverPublishes",
	}, {
		"fairness", "what takes the place of an open export is not counted beside it",
		"consumers/export/accept.go", "b.admit(ctx, r.TenantID, instead(r))", "b.admit(ctx, r.TenantID, \"\")",
		"consumers/export", "TestWhatTakesThePlaceOfAnOpenExportIsWithinTheQuota",
	},
}
