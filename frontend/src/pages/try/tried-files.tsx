// The files that were tried, newest first, each with what the model said of it.

import { Button, IconButton, Table } from "@/design";
import { percent, t } from "@/words";
import { faultOf, type Tried } from "./asking";
import { VerdictBadge } from "./verdict";

export interface TriedFile {
  id: number;
  file: File;
  /** Why the server refused it, where it did. */
  answer: Tried | Error;
}

export function TriedFiles({ files, modality, onKeep, onClear }: { files: TriedFile[]; modality: "image" | "audio"; onKeep?: (tried: Tried) => void; onClear: () => void }) {
  const caption = t("try.tried", { count: files.length });
  return (
    <section className="stack tight try-tried">
      <div className="row apart">
        <h2>{caption}</h2>
        <Button small look="quiet" icon="close" onClick={onClear}>
          {t("try.clear")}
        </Button>
      </div>
      <Table caption={caption}>
        <thead>
          <tr>
            <th scope="col">{t("try.file")}</th>
            <th scope="col">{t("try.answer")}</th>
            <th scope="col" className="right">
              {t("try.confidence")}
            </th>
            {onKeep && (
              <th scope="col">
                <span className="unseen">{t("try.keep")}</span>
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {files.map(({ id, file, answer }) => (
            <tr key={id} data-file={file.name} data-label={answer instanceof Error ? "" : answer.label}>
              <td className="try-file">{file.name}</td>
              {answer instanceof Error ? (
                <td colSpan={2}>{faultOf(answer, modality)}</td>
              ) : (
                <>
                  <td>
                    <VerdictBadge verdict={answer} />
                  </td>
                  <td className="right number">{percent(answer.confidence)}</td>
                </>
              )}
              {onKeep && <td className="try-add">{!(answer instanceof Error) && <IconButton icon="add" label={t("try.keep")} onClick={() => onKeep(answer)} />}</td>}
            </tr>
          ))}
        </tbody>
      </Table>
    </section>
  );
}
