{{/* Names, labels and parts of pods that more than one template needs. */}}

{{/* So short that a StatefulSet's name, whose pods have it in a label with a hash, has at most 52 characters. */}}
{{- define "featureplane.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 32 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 32 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 32 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "featureplane.operator" -}}
{{ include "featureplane.fullname" . }}-operator
{{- end -}}

{{- define "featureplane.serviceAccount" -}}
{{ default (include "featureplane.operator" .) .Values.operator.serviceAccount.name }}
{{- end -}}

{{- define "featureplane.trialPostgresql" -}}
{{ include "featureplane.fullname" . }}-trial-postgresql
{{- end -}}

{{- define "featureplane.trialRedis" -}}
{{ include "featureplane.fullname" . }}-trial-redis
{{- end -}}

{{- define "featureplane.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}{{- else -}}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{- end -}}
{{- end -}}
{{- end -}}

{{/* Of a list: the root context, and the component. Selectors are immutable: do not change them. */}}
{{- define "featureplane.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "featureplane.labels" -}}
{{- $root := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{ include "featureplane.selector" . }}
app.kubernetes.io/part-of: featureplane
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of a pod: the chart's version is not among them, for a new one must not replace pods that stay as they are. */}}
{{- define "featureplane.podLabels" -}}
{{ include "featureplane.selector" . }}
app.kubernetes.io/part-of: featureplane
{{- with (index . 0).Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "featureplane.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Where pods of the operator's kind run. */}}
{{- define "featureplane.placement" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.operator.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.operator.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.operator.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.operator.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* Role or ClusterRole, as what is watched asks for. */}}
{{- define "featureplane.role" -}}
{{ eq .Values.operator.watch "all" | ternary "ClusterRole" "Role" }}
{{- end -}}

{{/* A ClusterRole's name is the whole cluster's. */}}
{{- define "featureplane.roleName" -}}
{{- if eq .Values.operator.watch "all" -}}
{{ include "featureplane.operator" . }}-{{ .Release.Namespace }}
{{- else -}}
{{ include "featureplane.operator" . }}
{{- end -}}
{{- end -}}

{{/* The certificates of the feature server, where it speaks TLS: not empty. */}}
{{- define "featureplane.serverTls" -}}
{{- dig "server" "tls" "secretRef" "name" "" .Values.project.spec -}}
{{- end -}}

{{- define "featureplane.serverPort" -}}
{{- dig "server" "http" "port" 8080 .Values.project.spec -}}
{{- end -}}

{{/* Of a list: the root context, and what leads to the feature server of this release. */}}
{{- define "featureplane.needsProject" -}}
{{- if not (index . 0).Values.project.create -}}
{{- fail (printf "%s.enabled is true, and project.create is not: there is no feature server for it to lead to" (index . 1)) -}}
{{- end -}}
{{- end -}}
