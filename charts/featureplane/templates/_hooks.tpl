{{/* The pod of a hook's Job, or of a test. Of a map: root, component, account ("" for none), container (its fields). */}}
{{- define "featureplane.hookPod" -}}
{{- $ := .root -}}
metadata:
  labels:
    {{- include "featureplane.podLabels" (list $ .component) | nindent 4 }}
    {{- with $.Values.hooks.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $.Values.hooks.podAnnotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec: {{- include "featureplane.hookPodSpec" . | nindent 2 }}
{{- end -}}

{{- define "featureplane.hookPodSpec" -}}
{{- $ := .root -}}
{{- with .account -}}
serviceAccountName: {{ . }}
{{ end -}}
automountServiceAccountToken: {{ ne .account "" }}
enableServiceLinks: false
restartPolicy: Never
securityContext: {{- toYaml $.Values.operator.podSecurityContext | nindent 2 }}
{{ include "featureplane.placement" $ }}
containers:
  - name: featureplane
    image: {{ include "featureplane.image" $ | quote }}
    imagePullPolicy: {{ $.Values.image.pullPolicy }}
    {{- toYaml .container | nindent 4 }}
    resources: {{- toYaml $.Values.hooks.resources | nindent 6 }}
    securityContext: {{- include "featureplane.containerSecurity" $ | nindent 6 }}
    volumeMounts:
      - {name: tmp, mountPath: /tmp}
volumes:
  - {name: tmp, emptyDir: {}}
{{- end -}}

{{/* Annotations of what a hook needs before its Job. Of a list: when, and in which order. */}}
{{- define "featureplane.hook" -}}
helm.sh/hook: {{ index . 0 }}
helm.sh/hook-weight: {{ index . 1 | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}
